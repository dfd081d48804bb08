// Package importer turns a runbook that was written elsewhere into a skill
// file without losing a word: a page copied from a browser, a page of another
// wiki, any Markdown.
//
// The text stays as it is. What the importer changes is what a copy lost: the #
// of headings, the fence around code, the indentation of YAML where only one
// is possible. What a page says about itself (version, owners, claimed
// confidence …) goes into the front matter, and lines that stood around the
// text are kept there verbatim (page-head, page-facts), so that Text gives the
// page's words back in their order. What cannot be placed is kept and listed.
//
// The loss check is part of Import: should a word be missing from the result,
// the page is kept whole and the loss is reported.
package importer
