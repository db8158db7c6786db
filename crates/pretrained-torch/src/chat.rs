//! A conversation with a model.

use pretrained_tokenizer::{AutoTokenizer, ChatOptions};
use serde_json::{Value, json};

use crate::{
    AutoModelForCausalLM, Error, GenerationOptions, Stop,
    generate::{Generation, Seen, TextGeneration},
};

/// A conversation, in the words of the model's own template.
///
/// The model remembers what it has read: an answer costs the time of what is new.
///
/// ```no_run
/// # use pretrained_torch::{AutoModelForCausalLM, Chat, Device, GenerationOptions};
/// # use pretrained_tokenizer::{AutoTokenizer, ChatOptions};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let model = AutoModelForCausalLM::from_pretrained("model", Device::Cpu)?;
/// let tokenizer = AutoTokenizer::from_pretrained("model")?;
/// let options = GenerationOptions::new(&model)?;
/// let mut chat = Chat::new(&model, &tokenizer, options, ChatOptions::default());
/// for piece in chat.ask("Who are you?")? {
///     print!("{}", piece?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Chat<'m> {
    model: &'m AutoModelForCausalLM,
    tokenizer: &'m AutoTokenizer,
    options: GenerationOptions,
    chat_options: ChatOptions,
    messages: Vec<Value>,
    seen: Option<Seen<'m>>,
}

/// An answer that is being given: an iterator of pieces of its text.
///
/// When it is dropped, what there is of it is in the conversation; if that is nothing, the question
/// is taken back too.
#[derive(Debug)]
pub struct Answer<'c, 'm> {
    chat: &'c mut Chat<'m>,
    /// None once it is in the conversation.
    generation: Option<TextGeneration<'m>>,
}

impl<'m> Chat<'m> {
    /// A conversation in which nothing has been said. An answer ends with the tokens that the
    /// options say and with the tokenizer's end of text, and, where they say no length, with the
    /// model's last position at the latest.
    pub fn new(
        model: &'m AutoModelForCausalLM,
        tokenizer: &'m AutoTokenizer,
        mut options: GenerationOptions,
        mut chat_options: ChatOptions,
    ) -> Chat<'m> {
        chat_options.add_generation_prompt = true;
        let eos = tokenizer.eos_token_id();
        options.eos_token_ids.extend(eos.filter(|it| !options.eos_token_ids.contains(it)));
        if options.max_length.is_none() && options.max_new_tokens.is_none() {
            options.max_new_tokens = Some(usize::MAX);
        }
        Chat { model, tokenizer, options, chat_options, messages: Vec::new(), seen: None }
    }

    /// What has been said: objects with a `role` and a `content`.
    pub fn messages(&self) -> &[Value] {
        &self.messages
    }

    /// Goes on from what has been said elsewhere.
    pub fn set_messages(&mut self, messages: Vec<Value>) {
        self.messages = messages;
    }

    /// Asks something. The answer is to what was asked and answered before, too.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] if there is no template or it refuses the conversation; [`Error::TooLong`]
    /// if the model cannot see all of it; [`Error::Option`] if an option is out of range or asks for
    /// several texts. The conversation is then as it was.
    pub fn ask(&mut self, question: &str) -> Result<Answer<'_, 'm>, Error> {
        self.messages.push(json!({"role": "user", "content": question}));
        match self.answer() {
            Ok(generation) => Ok(Answer { chat: self, generation: Some(generation) }),
            Err(error) => {
                self.messages.pop();
                Err(error)
            }
        }
    }

    fn answer(&mut self) -> Result<TextGeneration<'m>, Error> {
        let prompt = self.tokenizer.encode_chat(&self.messages, &self.chat_options)?.input_ids;
        let seen = self.seen.take().unwrap_or_else(|| Seen::nothing(self.model));
        let tokens = Generation::after(seen, &prompt, &self.options, Box::new(|_, _| {}))?;
        TextGeneration::of(tokens, self.tokenizer, true)
    }
}

impl Answer<'_, '_> {
    /// Why it has ended, once it has.
    pub fn stop(&self) -> Option<Stop> {
        self.generation.as_ref().and_then(TextGeneration::stop)
    }

    /// How many tokens it has so far.
    pub fn n_tokens(&self) -> usize {
        self.generation.as_ref().map_or(0, |it| it.new_tokens().len())
    }
}

impl Iterator for Answer<'_, '_> {
    type Item = Result<String, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.generation.as_mut()?.next()
    }
}

impl Drop for Answer<'_, '_> {
    fn drop(&mut self) {
        let Some(generation) = self.generation.take() else { return };
        match generation.new_text() {
            "" => drop(self.chat.messages.pop()),
            text => self.chat.messages.push(json!({"role": "assistant", "content": text})),
        }
        self.chat.seen = Some(generation.into_tokens().into_seen());
    }
}
