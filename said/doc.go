// Package said tells what a log line, an alert or a message says of the
// failure of tokens and keys, whichever library wrote it: one vocabulary, by
// which package match blames and package diagnose weighs.
//
// # How it reads
//
// A text is read in lower case, with what its named values say in plain words
// (see prunella.Prose) and with the parts of compound names beside them:
// "NoMatchingKey" also reads "no matching key". Each Class has alternatives in
// the syntax of package regexp; a text has the class when one of them matches
// and no negation stands before it. A text may have several classes, the most
// telling first, and may deny some ("no recent deploy").
//
// # How words were chosen
//
// The alternatives say what is meant, not what one library prints: a noun from
// a list (what a key is called), at most some words, and what is said of it
// (what is not there). Lists hold the words of the libraries in
// diagnose/testdata/corpus.tsv and their usual synonyms; a word came in when a
// line of at least one real library needed it, and stayed when no line that
// means something else was caught by it. Codes that are a library's own name
// for a failure (IDX10501) stand as they are.
//
// # Speed
//
// From each alternative the literals are derived that any match of it holds.
// A text that lacks them never meets the expression, which is most of them.
//
// What is not here: which text counts how much (package diagnose), and who
// said it.
package said
