use super::{FieldInfo, SUPPORTED};

/// Every argument of [`TrainingArguments`](super::TrainingArguments) that does something.
pub const FIELDS: &[FieldInfo] = SUPPORTED;

/// The names of arguments that transformers has or had and that do nothing here: what is refused,
/// what makes no difference with one process and one device, and what is understood as another.
/// [`set`](super::TrainingArguments::set) says which, and why.
pub fn other_names() -> impl Iterator<Item = &'static str> {
    let known = HUGGING_FACE.iter().map(|it| it.0);
    let removed = REMOVED.iter().map(|it| it.0);
    let removed = removed.filter(|name| HUGGING_FACE.iter().all(|it| it.0 != *name));
    known.chain(removed).filter(|name| FIELDS.iter().all(|it| it.name != *name))
}

/// What becomes of an argument of transformers' `TrainingArguments`.
pub(crate) enum Fate {
    /// A field of the struct.
    Obeyed,
    /// Makes no difference with one process and one device. Any value is kept. The text is its
    /// default in JSON.
    Kept(&'static str),
    /// Only the default, given as JSON, is taken.
    Refused(&'static str),
}

use Fate::{Kept, Obeyed, Refused};

/// All arguments of transformers 5.23 in the order in which `to_dict` gives them.
pub(crate) const HUGGING_FACE: &[(&str, Fate)] = &[
    ("output_dir", Obeyed),
    ("per_device_train_batch_size", Obeyed),
    ("num_train_epochs", Obeyed),
    ("max_steps", Obeyed),
    ("learning_rate", Obeyed),
    ("lr_scheduler_type", Obeyed),
    ("lr_scheduler_kwargs", Obeyed),
    ("warmup_steps", Obeyed),
    ("optim", Obeyed),
    ("optim_args", Obeyed),
    ("weight_decay", Obeyed),
    ("adam_beta1", Obeyed),
    ("adam_beta2", Obeyed),
    ("adam_epsilon", Obeyed),
    ("optim_target_modules", Refused("null")),
    ("gradient_accumulation_steps", Obeyed),
    ("average_tokens_across_devices", Kept("true")),
    ("max_grad_norm", Obeyed),
    ("label_smoothing_factor", Obeyed),
    ("bf16", Obeyed),
    ("fp16", Refused("false")),
    ("bf16_full_eval", Refused("false")),
    ("fp16_full_eval", Refused("false")),
    ("tf32", Refused("null")),
    ("activation_checkpointing", Obeyed),
    ("activation_checkpointing_kwargs", Refused("null")),
    ("gradient_checkpointing", Obeyed),
    ("gradient_checkpointing_kwargs", Refused("null")),
    ("torch_compile", Refused("false")),
    ("torch_compile_backend", Refused("null")),
    ("torch_compile_mode", Refused("null")),
    ("use_liger_kernel", Refused("false")),
    ("liger_kernel_config", Refused("null")),
    ("use_cache", Refused("false")),
    ("neftune_noise_alpha", Refused("null")),
    ("torch_empty_cache_steps", Kept("null")),
    ("auto_find_batch_size", Refused("false")),
    ("logging_strategy", Obeyed),
    ("logging_steps", Obeyed),
    ("logging_first_step", Obeyed),
    ("log_on_each_node", Kept("true")),
    ("logging_nan_inf_filter", Obeyed),
    ("include_num_input_tokens_seen", Obeyed),
    ("log_level", Kept("\"passive\"")),
    ("log_level_replica", Kept("\"warning\"")),
    ("disable_tqdm", Obeyed),
    ("report_to", Obeyed),
    ("run_name", Obeyed),
    ("project", Kept("\"huggingface\"")),
    ("trackio_space_id", Refused("null")),
    ("trackio_bucket_id", Refused("null")),
    ("trackio_static_space_id", Refused("null")),
    ("eval_strategy", Obeyed),
    ("eval_steps", Obeyed),
    ("eval_delay", Obeyed),
    ("per_device_eval_batch_size", Obeyed),
    ("prediction_loss_only", Kept("false")),
    ("eval_on_start", Obeyed),
    ("eval_do_concat_batches", Kept("true")),
    ("eval_use_gather_object", Kept("false")),
    ("eval_accumulation_steps", Kept("null")),
    ("include_for_metrics", Refused("[]")),
    ("batch_eval_metrics", Kept("false")),
    ("save_only_model", Obeyed),
    ("save_strategy", Obeyed),
    ("save_steps", Obeyed),
    ("save_on_each_node", Kept("false")),
    ("save_total_limit", Obeyed),
    // A run that is asked to terminate always saves first.
    ("enable_jit_checkpoint", Kept("false")),
    ("push_to_hub", Refused("false")),
    ("hub_token", Kept("\"<HUB_TOKEN>\"")),
    ("hub_private_repo", Kept("null")),
    ("hub_model_id", Kept("null")),
    ("hub_strategy", Kept("\"every_save\"")),
    ("hub_always_push", Kept("false")),
    ("hub_revision", Kept("null")),
    ("load_best_model_at_end", Obeyed),
    ("metric_for_best_model", Obeyed),
    ("greater_is_better", Obeyed),
    // Seeking the data costs nothing, so that there is nothing to spare.
    ("ignore_data_skip", Refused("false")),
    // Callback states (early stopping) are always restored: resuming is exact.
    ("restore_callback_states_from_checkpoint", Kept("false")),
    // Every run is deterministic for its seed on the CPU.
    ("full_determinism", Kept("false")),
    ("seed", Obeyed),
    ("data_seed", Obeyed),
    ("use_cpu", Obeyed),
    ("accelerator_config", Refused(ACCELERATOR)),
    ("parallelism_config", Refused("null")),
    ("dataloader_drop_last", Obeyed),
    ("dataloader_num_workers", Kept("0")),
    ("dataloader_pin_memory", Kept("true")),
    ("dataloader_persistent_workers", Kept("false")),
    ("dataloader_prefetch_factor", Kept("null")),
    ("dataloader_multiprocessing_context", Kept("null")),
    ("dataloader_in_order", Kept("true")),
    ("remove_unused_columns", Kept("true")),
    ("label_names", Refused("null")),
    ("train_sampling_strategy", Obeyed),
    ("length_column_name", Kept("\"length\"")),
    ("ddp_find_unused_parameters", Kept("null")),
    ("ddp_bucket_cap_mb", Kept("null")),
    ("ddp_broadcast_buffers", Kept("null")),
    ("ddp_static_graph", Kept("null")),
    ("ddp_backend", Kept("null")),
    ("ddp_timeout", Kept("1800")),
    ("fsdp", Refused("null")),
    ("fsdp_config", Refused("null")),
    ("deepspeed", Refused("null")),
    ("debug", Refused("[]")),
    ("skip_memory_metrics", Refused("true")),
    // What a script does with its arguments is the script's business, these four too.
    ("do_train", Kept("false")),
    ("do_eval", Kept("false")),
    ("do_predict", Kept("false")),
    ("resume_from_checkpoint", Kept("null")),
    ("local_rank", Refused("-1")),
];

/// What is meant by a name that transformers 5 has removed.
pub(crate) enum Meant {
    /// The same as another argument.
    Renamed(&'static str),
    /// `warmup_steps`, where a share of the run is below 1.
    WarmupRatio,
    /// `train_sampling_strategy`, if true.
    GroupByLength,
    /// Nothing, as long as it has one of these values (JSON); the text is the way out otherwise.
    Nothing(&'static [&'static str], &'static str),
}

pub(crate) const REMOVED: &[(&str, Meant)] = &[
    ("warmup_ratio", Meant::WarmupRatio),
    ("evaluation_strategy", Meant::Renamed("eval_strategy")),
    ("no_cuda", Meant::Renamed("use_cpu")),
    ("per_gpu_train_batch_size", Meant::Renamed("per_device_train_batch_size")),
    ("per_gpu_eval_batch_size", Meant::Renamed("per_device_eval_batch_size")),
    ("group_by_length", Meant::GroupByLength),
    ("gradient_checkpointing", Meant::Renamed("activation_checkpointing")),
    ("overwrite_output_dir", Meant::Nothing(&["false"], "choose another output_dir or resume")),
    ("save_safetensors", Meant::Nothing(&["true"], "models are saved as safetensors only")),
    // Tokens per second are always in metrics.jsonl.
    ("include_tokens_per_second", Meant::Nothing(&["true", "false"], "")),
    ("fp16_backend", Meant::Nothing(&["\"auto\"", "null"], LEAVE_IT_OUT)),
    ("half_precision_backend", Meant::Nothing(&["\"auto\"", "null"], LEAVE_IT_OUT)),
    ("fp16_opt_level", Meant::Nothing(&["\"O1\"", "null"], LEAVE_IT_OUT)),
    ("jit_mode_eval", Meant::Nothing(&["false"], LEAVE_IT_OUT)),
    ("use_ipex", Meant::Nothing(&["false"], LEAVE_IT_OUT)),
    ("tpu_num_cores", Meant::Nothing(&["null"], LEAVE_IT_OUT)),
    ("tpu_metrics_debug", Meant::Nothing(&["false"], LEAVE_IT_OUT)),
    ("past_index", Meant::Nothing(&["-1"], LEAVE_IT_OUT)),
    ("ray_scope", Meant::Nothing(&["\"last\"", "null"], LEAVE_IT_OUT)),
    ("torchdynamo", Meant::Nothing(&["null"], LEAVE_IT_OUT)),
    ("push_to_hub_model_id", Meant::Nothing(&["null"], LEAVE_IT_OUT)),
    ("push_to_hub_organization", Meant::Nothing(&["null"], LEAVE_IT_OUT)),
    ("push_to_hub_token", Meant::Nothing(&["null", "\"<PUSH_TO_HUB_TOKEN>\""], LEAVE_IT_OUT)),
    ("dispatch_batches", Meant::Nothing(&["null"], LEAVE_IT_OUT)),
    ("split_batches", Meant::Nothing(&["null", "false"], LEAVE_IT_OUT)),
    ("include_inputs_for_metrics", Meant::Nothing(&["false"], LEAVE_IT_OUT)),
    ("use_legacy_prediction_loop", Meant::Nothing(&["false"], LEAVE_IT_OUT)),
    ("use_mps_device", Meant::Nothing(&["false"], LEAVE_IT_OUT)),
    ("fsdp_min_num_params", Meant::Nothing(&["0"], LEAVE_IT_OUT)),
    ("fsdp_transformer_layer_cls_to_wrap", Meant::Nothing(&["null"], LEAVE_IT_OUT)),
    ("mp_parameters", Meant::Nothing(&["\"\""], LEAVE_IT_OUT)),
];

pub(crate) const LEAVE_IT_OUT: &str = "leave it out";

const ACCELERATOR: &str = r#"{"split_batches":false,"dispatch_batches":null,"even_batches":true,"use_seedable_sampler":true,"non_blocking":false,"gradient_accumulation_kwargs":null}"#;
