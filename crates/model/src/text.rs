//! Two macros: a value that is written as text, and a closed list of words.

/// `Serialize` through `Display` and `Deserialize` through `FromStr`: one spelling everywhere.
macro_rules! as_text {
    ($name:ty) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// A closed list of words: `as_str`, `ALL`, `WORDS`, `Display`, `FromStr` with the nearest right word.
macro_rules! words {
    ($name:ident, $what:literal, $error:ident, $($variant:ident = $word:literal),+ $(,)?) => {
        #[doc = concat!("The text is not a ", $what, ".")]
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[error("`{}` is not a {}", text.escape_debug(), $what)]
        pub struct $error {
            /// What was written.
            pub text: String,
        }

        impl $error {
            /// The known word nearest to what was written.
            pub fn nearest(&self) -> Option<&'static str> {
                $crate::nearest::nearest(&self.text, $name::WORDS.iter().copied())
            }
        }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];
            /// Every word, in the same order.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word as it is written in a policy.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $error;
            fn from_str(text: &str) -> Result<Self, $error> {
                match text {
                    $($word => Ok($name::$variant),)+
                    _ => Err($error { text: text.to_owned() }),
                }
            }
        }

        $crate::text::as_text!($name);
    };
}

pub(crate) use {as_text, words};
