//! Where prompts, completions and message bodies of language models stand: the names that OpenTelemetry's conventions for
//! generative AI had and have, those of OpenInference, Traceloop, the Vercel AI SDK, Langfuse and MLflow, the rows of
//! Dynamo's request trace, and the lines in which vLLM and SGLang log requests.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::json::{self, Change, Value};
use super::mask::STARS;

/// Keys of content.
const KEYS: &[&str] = &[
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.prompt",
    "gen_ai.completion",
    "gen_ai.content.prompt",
    "gen_ai.content.completion",
    "gen_ai.event.content",
    "gen_ai.request.prompt",
    "gen_ai.tool.definitions",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.retrieval.documents",
    "gen_ai.retrieval.query.text",
    "gen_ai.evaluation.explanation",
    "traceloop.entity.input",
    "traceloop.entity.output",
    "input.value",
    "output.value",
    "llm.prompts",
    "llm.completions",
    "llm.input_messages",
    "llm.output_messages",
    "llm.prompt_template.template",
    "llm.prompt_template.variables",
    "llm.function_call",
    "llm.tools",
    "message.content",
    "tool.parameters",
    "embedding.text",
    "embedding.vector",
    "reranker.query",
    "ai.prompt",
    "ai.response.text",
    "ai.response.object",
    "ai.response.reasoning",
    "ai.response.toolCalls",
    "ai.toolCall.args",
    "ai.toolCall.result",
    "ai.value",
    "ai.values",
    "ai.embedding",
    "ai.embeddings",
    "langfuse.observation.input",
    "langfuse.observation.output",
    "langfuse.trace.input",
    "langfuse.trace.output",
    "mlflow.spanInputs",
    "mlflow.spanOutputs",
    // As programs name it in their own lines and attributes, after the APIs of OpenAI, vLLM and SGLang.
    "prompt",
    "prompts",
    "completion",
    "completions",
    "messages",
    "input_text",
    "output_text",
    "generated_text",
    "prompt_token_ids",
    "output_token_ids",
    "input_ids",
    "output_ids",
];

/// Content in parts, each under a key of its own: `gen_ai.prompt.0.content`.
const PARTS: &[&str] = &[
    "gen_ai.input.messages.",
    "gen_ai.output.messages.",
    "gen_ai.system_instructions.",
    "gen_ai.prompt.",
    "gen_ai.completion.",
    "llm.prompts.",
    "llm.completions.",
    "llm.input_messages.",
    "llm.output_messages.",
    "llm.tools.",
    "embedding.embeddings.",
    "retrieval.documents.",
    "reranker.input_documents.",
    "reranker.output_documents.",
    "ai.prompt.",
    // The arguments that Transformers' `traced` writes of every call.
    "args.",
    "kwargs.",
];

/// The ends of keys of [`PARTS`] that say something about content and hold none.
const ABOUT: &[&str] = &["role", "name", "id", "version", "finish_reason", "type", "index", "score"];

/// Whether an attribute of that key holds content, unless its value is a number or a boolean.
pub fn is_key(key: &str) -> bool {
    let is_part = || {
        let end = key.rsplit('.').next().unwrap_or_default();
        PARTS.iter().any(|part| key.starts_with(part)) && !ABOUT.contains(&end)
    };
    KEYS.contains(&key) || is_part()
}

/// Whether an attribute of that key holds a log line or a row of Dynamo's request trace.
pub fn is_line(key: &str) -> bool {
    matches!(key, "message" | "msg" | "payload" | "log.record.original" | "event.original")
}

/// Whether an event or log record of that name is a message: all of it is content, but what [`stays_in_message`] says.
pub fn is_message(event_name: &str) -> bool {
    matches!(
        event_name,
        "gen_ai.content.prompt"
            | "gen_ai.content.completion"
            | "gen_ai.system.message"
            | "gen_ai.user.message"
            | "gen_ai.assistant.message"
            | "gen_ai.tool.message"
            | "gen_ai.choice"
    )
}

/// Whether an attribute of a message says something about it and holds none of it.
pub fn stays_in_message(key: &str) -> bool {
    const STAY: &[&str] = &["role", "id", "index", "finish_reason", "event.name", "gen_ai.system"];
    STAY.contains(&key)
        || (key.starts_with("gen_ai.") && !is_key(key))
        || key.starts_with("server.")
        || super::summary::is_key(key)
}

/// A line has to be looked at if one of these is in it; all else is as good as free. They are the beginnings of all keys,
/// few enough to be searched for at once in words of the processor.
const BEGINNINGS: &[&str] = &[
    "\"gen_ai.",
    "\"traceloop.entity.",
    "\"input.value\"",
    "\"output.value\"",
    "\"llm.",
    "\"message.content\"",
    "\"tool.parameters\"",
    "\"embedding.",
    "\"retrieval.documents.",
    "\"reranker.",
    "\"ai.",
    "\"langfuse.",
    "\"mlflow.span",
    "\"args.",
    "\"kwargs.",
    "\"prompt",
    "\"completion",
    "\"messages\"",
    "\"input_text\"",
    "\"output_text\"",
    "\"generated_text\"",
    "\"output_token_ids\"",
    "\"input_ids\"",
    "\"output_ids\"",
];

static MARKERS: LazyLock<Regex> = LazyLock::new(|| {
    let lines = LINES.iter().map(|line| line.content);
    let all: Vec<_> = BEGINNINGS.iter().copied().chain(lines).chain([TRACE]).map(regex::escape).collect();
    Regex::new(&all.join("|")).expect("literals are a pattern")
});

/// Lines in which engines log requests, when they are told to: from `content` on they quote what was asked or answered.
struct Line {
    begins: &'static str,
    content: &'static str,
}

const LINES: &[Line] = &[
    Line { begins: "Received request ", content: ": prompt: " },
    Line { begins: "Request ", content: " details: prompt: " },
    Line { begins: "Generated response ", content: ": output: " },
    Line { begins: "Receive: obj=", content: "GenerateReqInput(" },
    Line { begins: "Finish: obj=", content: "GenerateReqInput(" },
];

/// Dynamo's request trace, of which rows with a payload hold whole requests, headers and responses.
const TRACE: &str = "dynamo.request.trace.";
/// The scope of the same as OTLP log records, which hold the row in an attribute.
pub const TRACE_SCOPE: &str = "dynamo.request_trace";
/// What a payload says about itself.
const ABOUT_PAYLOAD: &[&str] = &["request_id", "endpoint", "model", "payload_complete", "payload_drop_reason"];

/// A log line or a row of Dynamo's request trace without content, or `None` when there is none in it. `is_kept` says which
/// keys are ignored.
pub fn without(text: &str, is_row: bool, is_kept: &dyn Fn(&str) -> bool) -> Option<String> {
    if !is_row && !MARKERS.is_match(text.as_bytes()) {
        return None;
    }
    if !text.trim_start().starts_with('{') {
        return line(text);
    }
    let is_row = is_row || text.contains(TRACE);
    let (new, end) = json::rewrite(text, &mut |parent, key, value| member(parent, key, value, is_row, is_kept));
    // What is cut off in the middle, or is no JSON, may quote anything.
    let rest = &text[end..];
    if MARKERS.is_match(rest.as_bytes()) {
        let mut new = new.unwrap_or_else(|| text.to_owned());
        new.truncate(new.len() - rest.len());
        new.push_str(STARS);
        return Some(new);
    }
    new
}

fn member(parent: &str, key: &str, value: Value<'_>, is_row: bool, is_kept: &dyn Fn(&str) -> bool) -> Change {
    if is_kept(key) {
        return Change::KeepWhole;
    }
    let is_content =
        is_key(key) || (is_row && ((parent == "payload" && !ABOUT_PAYLOAD.contains(&key)) || key.ends_with("headers")));
    match value {
        Value::Word(_) => Change::Keep,
        Value::Text("" | STARS) => Change::Keep,
        _ if is_content => Change::Text(STARS.to_owned()),
        Value::Text(text) => line(text).map_or(Change::Keep, Change::Text),
        Value::Nested(_) => Change::Keep,
    }
}

/// An engine's line up to where it quotes.
fn line(text: &str) -> Option<String> {
    LINES.iter().find_map(|line| {
        let begins = text.find(line.begins)?;
        let content = begins + text[begins..].find(line.content)? + line.content.len();
        (!text[content..].starts_with(STARS)).then(|| format!("{}{STARS}", &text[..content]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_by_its_beginning() {
        for key in KEYS.iter().map(|key| (*key).to_owned()).chain(PARTS.iter().map(|part| format!("{part}0.content"))) {
            assert!(is_key(&key), "{key}");
            assert!(MARKERS.is_match(format!("{{\"{key}\":1}}").as_bytes()), "{key}");
        }
        assert!(!MARKERS.is_match(br#"{"message":"no prompt, no completion","model":"m"}"#));
    }
}
