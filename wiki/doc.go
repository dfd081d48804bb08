// Package wiki keeps a team's pages: a folder of Markdown files with skills/,
// people/, companies/, drafts/ and whatever else the team wants, best in git.
//
// The files are the truth. A Wiki reads them all when it is opened, keeps their
// titles, headings and links in memory and their words in a SQLite FTS5 index,
// and follows changes on disk. The index holds nothing that cannot be read from
// the files again; a broken one is thrown away and made anew.
//
// A page links to another as [[people/sam]], [[sam]] where that is the only page
// of the name, [[people/sam#Duties]] or [[people/sam|who owns sign-in]], or by an
// ordinary Markdown link to its file. A link to a page or heading that is not
// there is broken.
//
// Save and Rename write files so that a crash leaves the old or the new text,
// refuse to overwrite what somebody else wrote since (Conflict), and commit to git.
// docs/wiki.md tells a team how to live with it.
//
// Not here: rendering (package web), what a skill means (package skill), and who
// may edit.
package wiki
