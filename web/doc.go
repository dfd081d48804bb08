// Package web is Prunella's HTTP edge for people and programs: the JSON API
// below /api/v1, the server-sent events that say what changed, the pages, and
// the scenario report as a page or as one file.
//
// Pages are rendered here, complete without JavaScript: html/template for text,
// SVG for plots and the service graph. One script swaps the parts of a page
// marked data-live when an event says that they changed, and says when a page
// can no longer be trusted to be current. Everything a page needs is embedded;
// the content security policy allows nothing else.
//
// What is shown comes from a Backend, which package app implements. Nothing is
// decided here but wording and layout, and the answer on the key board to "may
// I remove this key?", a pure function of the cells shown (verdicts).
package web
