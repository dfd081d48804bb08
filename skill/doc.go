// Package skill reads, checks and edits skill files: runbooks in Markdown that
// serve a person, the engine and an agent alike (docs/skills.md describes the
// format).
//
// A Document keeps the bytes it was parsed from and knows where things stand in
// them: front matter, sections, numbered steps, fenced blocks. An edit replaces
// the bytes of one value; every other byte stays, whatever its line endings.
// Document.Skill gives the executable form, Lint says what is wrong with it and
// what stands between the skill and autonomy, Measure turns its outcomes into
// confidence.
//
// Nothing here acts, asks the world, or matches incidents: packages match,
// diagnose, heal and action do that with the prunella.Skill made here.
package skill
