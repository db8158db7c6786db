// Operators of libtorch that tch does not bind.

#include <ATen/Version.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <torch/headeronly/version.h>

#include <cstring>
#include <exception>
#include <string>
#include <vector>

namespace {

std::vector<at::Tensor> list(at::Tensor *const *tensors, size_t n) {
  std::vector<at::Tensor> list;
  list.reserve(n);
  for (size_t i = 0; i < n; i++) list.push_back(*tensors[i]);
  return list;
}

// Writes what went wrong into `error`, of `error_len` bytes, and returns false; or returns true.
template <typename Run> bool attempt(char *error, size_t error_len, Run run) noexcept {
  try {
    run();
    return true;
  } catch (const std::exception &e) {
    std::strncpy(error, e.what(), error_len - 1);
    return false;
  }
}

using torch::autograd::variable_list;

// A step of a network whose gradient is a closure's.
struct Function : torch::autograd::Node {
  using Call = bool (*)(void *closure, const at::Tensor *gradient, at::Tensor *slots, size_t n,
                        char *error, size_t error_len);
  using Discard = void (*)(void *closure);

  Function(void *closure, Call call, Discard discard)
      : closure(closure), call(call), discard(discard) {}

  ~Function() override { release_variables(); }

  variable_list apply(variable_list &&gradients) override {
    variable_list slots(num_outputs());
    if (!gradients[0].defined()) return slots;
    TORCH_CHECK(closure, "a gradient is asked for a second time");
    char error[512] = {};
    TORCH_CHECK(call(closure, &gradients[0], slots.data(), slots.size(), error, sizeof error), error);
    return slots;
  }

  void release_variables() override {
    if (closure) discard(closure);
    closure = nullptr;
  }

  std::string name() const override { return "pretrained::Function"; }

  void *closure;
  Call call;
  Discard discard;
};

} // namespace

extern "C" {

bool pretrained_fused_adamw(at::Tensor *const *params, at::Tensor *const *grads,
                            at::Tensor *const *exp_avgs, at::Tensor *const *exp_avg_sqs,
                            at::Tensor *const *steps, size_t n, double learning_rate, double beta1,
                            double beta2, double weight_decay, double eps, char *error,
                            size_t error_len) noexcept {
  return attempt(error, error_len, [&] {
    at::_fused_adamw_(list(params, n), list(grads, n), list(exp_avgs, n), list(exp_avg_sqs, n), {},
                      list(steps, n), learning_rate, beta1, beta2, weight_decay, eps,
                      /*amsgrad=*/false, /*maximize=*/false);
  });
}

// Makes `tensor` one of `len` bytes on the CPU, pinned or not.
bool pretrained_staged(at::Tensor *tensor, size_t len, bool is_pinned, char *error,
                       size_t error_len) noexcept {
  return attempt(error, error_len, [&] {
    *tensor = at::empty({static_cast<int64_t>(len)},
                        at::TensorOptions().dtype(at::kByte).pinned_memory(is_pinned));
  });
}

// Copies without waiting for the end.
bool pretrained_copy_async(const at::Tensor *to, const at::Tensor *from, char *error,
                           size_t error_len) noexcept {
  return attempt(error, error_len, [&] { to->copy_(*from, /*non_blocking=*/true); });
}

// Adds to the gradients of all that `tensor` was made of, given its own.
bool pretrained_backward(const at::Tensor *tensor, const at::Tensor *gradient, char *error,
                         size_t error_len) noexcept {
  return attempt(error, error_len, [&] { tensor->backward(*gradient); });
}

// Makes `output` a function of `inputs` whose gradient is the closure's; owns the closure from here on.
bool pretrained_function(const at::Tensor *const *inputs, size_t n, const at::Tensor *output,
                         void *closure, Function::Call call, Function::Discard discard, char *error,
                         size_t error_len) noexcept {
  return attempt(error, error_len, [&] {
    std::shared_ptr<Function> function(new Function(closure, call, discard),
                                       torch::autograd::deleteNode);
    torch::autograd::edge_list edges;
    for (size_t i = 0; i < n; i++) edges.push_back(torch::autograd::impl::gradient_edge(*inputs[i]));
    function->set_next_edges(std::move(edges));
    torch::autograd::set_history(*output, function);
  });
}

void pretrained_assign(at::Tensor *slots, size_t i, const at::Tensor *value) noexcept {
  slots[i] = *value;
}

// A parameter that has no gradient.
void pretrained_clear_gradient(const at::Tensor *parameter) noexcept { parameter->mutable_grad().reset(); }

// Writes what this was compiled for, and what the library that is loaded says of itself.
bool pretrained_describe(char *text, size_t len, char *error, size_t error_len) noexcept {
  return attempt(error, error_len, [&] {
#ifdef _GLIBCXX_USE_CXX11_ABI
    const std::string abi = std::to_string(_GLIBCXX_USE_CXX11_ABI);
#else
    const std::string abi = "1"; // Libraries other than GCC's have no older one.
#endif
    const std::string built_for = std::to_string(TORCH_VERSION_MAJOR) + "." +
                                  std::to_string(TORCH_VERSION_MINOR) + "." +
                                  std::to_string(TORCH_VERSION_PATCH);
    const std::string all =
        "built for: " + built_for + "\ncxx11 abi: " + abi + "\n" + at::show_config();
    std::strncpy(text, all.c_str(), len - 1);
  });
}

// Computes in bfloat16 from here on, where that is safe, on this thread.
void pretrained_autocast_begin(bool cuda) noexcept {
  const auto device = cuda ? at::kCUDA : at::kCPU;
  at::autocast::set_autocast_dtype(device, at::kBFloat16);
  at::autocast::set_autocast_enabled(device, true);
  at::autocast::increment_nesting();
}

void pretrained_autocast_end(bool cuda) noexcept {
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(cuda ? at::kCUDA : at::kCPU, false);
}

// This thread's modes.
void pretrained_autocast_set(bool enabled) noexcept { at::autocast::set_autocast_enabled(at::kCPU, enabled); }
bool pretrained_grad_is_enabled() noexcept { return at::GradMode::is_enabled(); }
bool pretrained_autocast_is_enabled() noexcept { return at::autocast::is_autocast_enabled(at::kCPU); }
}
