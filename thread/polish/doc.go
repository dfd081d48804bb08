// Package polish lets a language model smooth the prose of a draft, and trusts
// it with nothing.
//
// It is off until a URL and a model are configured. Any server that speaks
// OpenAI's chat completions will do (vLLM, Ollama, llama.cpp, a hosted one).
// The model sees the sentences of the draft, which are redacted before they
// are stored and once more here; it never sees code blocks, owners, or where
// the text comes from. What people wrote in a thread may try to give it
// orders, so its answer is judged and not believed:
//
//   - an answer that is no JSON of the agreed shape changes nothing;
//   - code, commands and placeholders of redaction stand exactly as they stood;
//   - each sentence is a claim, and is held against the sources of its line: the
//     figures, names, identifiers, links and options in it must occur there, what
//     it tells to do must be told there, its content words must mostly occur
//     there, and it may not deny what they say or say what they deny;
//   - a claim without a source is dropped and listed with the reason;
//   - a line that lost a figure, a name or an identifier stays as it was.
//
// So the worst that a model can do is to leave the draft as it is, or to put
// words of the sources in an order that misleads without a negation. A person
// reads the draft before it is accepted.
//
// What is not here: making drafts and accepting them (package thread). No
// decision of Prunella reads a model's answer.
package polish
