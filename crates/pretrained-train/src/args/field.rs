use std::path::PathBuf;

use serde_json::{Map, Number, Value};

/// How the value of an argument is spelled on the command line and in JSON.
///
/// Implemented by the spelling for the type in the struct: one type can be spelled in two ways.
pub(crate) trait Spelling<T> {
    /// What the help of an option calls it.
    const NAME: &'static str;

    fn from_json(value: &Value) -> Option<T>;

    fn to_json(value: &T) -> Value;
}

/// A whole number.
pub(crate) struct Int;
/// A real number, written with a decimal point.
pub(crate) struct Float;
/// A real number, written as an integer when it is one: steps, which may be ratios.
pub(crate) struct Count;
/// True or false.
pub(crate) struct Bool;
/// Any text, paths too.
pub(crate) struct Text;
/// A name out of a fixed set.
pub(crate) struct Name;
/// A list of words; on the command line separated by commas or spaces.
pub(crate) struct Words;
/// A JSON object; on the command line as JSON text.
pub(crate) struct Object;
/// Any of the others, or nothing.
pub(crate) struct Maybe<S>(S);

impl<T: TryFrom<i128> + TryInto<i128> + Copy> Spelling<T> for Int {
    const NAME: &'static str = "INT";

    fn from_json(value: &Value) -> Option<T> {
        let integral =
            |it: f64| (it.fract() == 0.0 && it.abs() < 2f64.powi(63)).then_some(it as i128);
        let number = match value {
            Value::Number(it) => it.as_i128().or_else(|| it.as_f64().and_then(integral)),
            Value::String(it) => it.trim().replace('_', "").parse().ok(),
            _ => None,
        };
        T::try_from(number?).ok()
    }

    fn to_json(value: &T) -> Value {
        let number = (*value).try_into().ok().and_then(Number::from_i128);
        number.map_or(Value::Null, Value::Number)
    }
}

impl Spelling<f64> for Float {
    const NAME: &'static str = "FLOAT";

    fn from_json(value: &Value) -> Option<f64> {
        let number = match value {
            Value::Number(it) => it.as_f64(),
            Value::String(it) => it.trim().parse().ok(),
            _ => None,
        };
        number.filter(|it| it.is_finite())
    }

    fn to_json(value: &f64) -> Value {
        Number::from_f64(*value).map_or(Value::Null, Value::Number)
    }
}

impl Spelling<f64> for Count {
    const NAME: &'static str = "STEPS";

    fn from_json(value: &Value) -> Option<f64> {
        Float::from_json(value)
    }

    fn to_json(value: &f64) -> Value {
        if value.fract() == 0.0 && value.abs() < 2f64.powi(53) {
            return Value::from(*value as i64);
        }
        Float::to_json(value)
    }
}

impl Spelling<bool> for Bool {
    const NAME: &'static str = "BOOL";

    fn from_json(value: &Value) -> Option<bool> {
        match value {
            Value::Bool(it) => Some(*it),
            // The words that Hugging Face's HfArgumentParser takes.
            Value::String(it) => match it.trim().to_ascii_lowercase().as_str() {
                "yes" | "true" | "t" | "y" | "1" => Some(true),
                "no" | "false" | "f" | "n" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    fn to_json(value: &bool) -> Value {
        Value::Bool(*value)
    }
}

impl Spelling<String> for Text {
    const NAME: &'static str = "TEXT";

    fn from_json(value: &Value) -> Option<String> {
        value.as_str().map(str::to_owned)
    }

    fn to_json(value: &String) -> Value {
        Value::String(value.clone())
    }
}

impl Spelling<PathBuf> for Text {
    const NAME: &'static str = "PATH";

    fn from_json(value: &Value) -> Option<PathBuf> {
        value.as_str().filter(|it| !it.is_empty()).map(PathBuf::from)
    }

    fn to_json(value: &PathBuf) -> Value {
        Value::String(value.to_string_lossy().into_owned())
    }
}

impl Spelling<Vec<String>> for Words {
    const NAME: &'static str = "LIST";

    fn from_json(value: &Value) -> Option<Vec<String>> {
        let words = match value {
            Value::Null => Vec::new(),
            Value::String(it) => it.split([',', ' ']).map(str::to_owned).collect(),
            Value::Array(it) => {
                it.iter().map(|it| it.as_str().map(str::to_owned)).collect::<Option<_>>()?
            }
            _ => return None,
        };
        Some(words.into_iter().filter(|it| !it.is_empty() && it != "none").collect())
    }

    fn to_json(value: &Vec<String>) -> Value {
        Value::from(value.as_slice())
    }
}

impl Spelling<Map<String, Value>> for Object {
    const NAME: &'static str = "JSON";

    fn from_json(value: &Value) -> Option<Map<String, Value>> {
        match value {
            Value::Object(it) => Some(it.clone()),
            Value::String(it) => serde_json::from_str(it).ok(),
            _ => None,
        }
    }

    fn to_json(value: &Map<String, Value>) -> Value {
        Value::Object(value.clone())
    }
}

impl<T, S: Spelling<T>> Spelling<Option<T>> for Maybe<S> {
    const NAME: &'static str = S::NAME;

    fn from_json(value: &Value) -> Option<Option<T>> {
        match value {
            Value::Null => Some(None),
            Value::String(it) if matches!(it.as_str(), "none" | "None" | "null") => Some(None),
            other => S::from_json(other).map(Some),
        }
    }

    fn to_json(value: &Option<T>) -> Value {
        value.as_ref().map_or(Value::Null, S::to_json)
    }
}

/// An enum whose variants have one spelling each, the one Hugging Face uses.
macro_rules! names {
    ($(#[$doc:meta])* $enum:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $enum {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $enum {
            /// Every value, in the order of Hugging Face's documentation.
            pub const ALL: &[$enum] = &[$($enum::$variant),+];

            /// Its name in arguments.
            pub fn name(self) -> &'static str {
                match self { $($enum::$variant => $name,)+ }
            }
        }

        impl Spelling<$enum> for Name {
            const NAME: &'static str = concat!($($name, "|"),+);

            fn from_json(value: &Value) -> Option<$enum> {
                let name = value.as_str()?;
                $enum::ALL.iter().copied().find(|it| it.name() == name)
            }

            fn to_json(value: &$enum) -> Value {
                Value::from(value.name())
            }
        }
    };
}

names! {
    /// How often something happens.
    IntervalStrategy {
        /// Never.
        No = "no",
        /// Every so many steps.
        Steps = "steps",
        /// At the end of each epoch.
        Epoch = "epoch",
    }
}

names! {
    /// When a checkpoint is written.
    SaveStrategy {
        /// Never.
        No = "no",
        /// Every `save_steps` steps, and after the last one.
        Steps = "steps",
        /// At the end of each epoch.
        Epoch = "epoch",
        /// Whenever an evaluation is better than all before it.
        Best = "best",
    }
}

names! {
    /// The shape of the learning rate over the run.
    SchedulerType {
        /// Down to zero on a line.
        Linear = "linear",
        /// Half a cosine.
        Cosine = "cosine",
        /// Several half cosines.
        CosineWithRestarts = "cosine_with_restarts",
        /// A power of what is left.
        Polynomial = "polynomial",
        /// The same throughout, without warmup.
        Constant = "constant",
        /// The same throughout.
        ConstantWithWarmup = "constant_with_warmup",
        /// One over the square root of the step.
        InverseSqrt = "inverse_sqrt",
        /// Lowered when the metric stops improving.
        ReduceLrOnPlateau = "reduce_lr_on_plateau",
        /// Half a cosine down to a floor.
        CosineWithMinLr = "cosine_with_min_lr",
        /// The same, with a warmup that does not start at zero.
        CosineWarmupWithMinLr = "cosine_warmup_with_min_lr",
        /// A plateau between warmup and decay.
        WarmupStableDecay = "warmup_stable_decay",
    }
}

names! {
    /// The rule that turns gradients into updates.
    Optimizer {
        /// AdamW.
        AdamwTorch = "adamw_torch",
        /// AdamW in one pass over memory: the same numbers.
        AdamwTorchFused = "adamw_torch_fused",
        /// Adafactor with a given learning rate.
        Adafactor = "adafactor",
        /// Stochastic gradient descent.
        Sgd = "sgd",
        /// Lion.
        Lion = "lion_32bit",
    }
}

names! {
    /// The order in which an epoch visits its examples.
    Sampling {
        /// A permutation drawn from the seed and the epoch.
        Random = "random",
        /// As they are.
        Sequential = "sequential",
        /// Examples of like length together, at random otherwise.
        GroupByLength = "group_by_length",
    }
}

names! {
    /// Which input tokens are counted.
    CountTokens {
        /// None.
        No = "no",
        /// All, padding included.
        All = "all",
        /// All but padding.
        NonPadding = "non_padding",
    }
}
