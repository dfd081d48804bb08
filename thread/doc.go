// Package thread turns what people wrote while they fixed something into a
// draft of a skill.
//
// It reads Slack conversations (an export, or live messages given to a Store),
// takes out secrets and personal data, tells incidents from other talk, and
// extracts what happened: symptoms, what was ruled out, what was tried and what
// of it worked, the commands, how it was verified, who owns it, why it comes
// back, what is still to do, and when. Everything is decided by rules whose
// names stand beside the result, and by weights that were fitted beforehand
// where it takes many signs: to choose a message (see weigh), to tell an
// incident from other talk (see impress). No language model takes part.
//
//	Export ─> Store (redacts, threads.db) ─> Extract ─> Extraction ─> Draft ─> DIR/drafts ─> Accept ─> DIR/skills
//
// An Extraction is a pure function of the messages: the same messages give the
// same extraction. Every sentence of it keeps its Source, so that a reader can
// go and see. A Draft is the skill file made of it, or a proposed change to a
// skill that the failure was seen with before. Drafts never act and nothing is
// overwritten: a person accepts them.
//
// Message ids ("1713527162.000200") are texts, as in Slack; they are never
// numbers. Times are UTC. Channels are named without '#', people with '@',
// bots by their name without it.
//
// What is not here: talking to Slack (thread/live), polishing prose
// (thread/polish), archives with a known truth and the score against it
// (thread/exportgen), the format of skills (package skill).
package thread
