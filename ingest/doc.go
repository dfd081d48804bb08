// Package ingest turns what services send into Signals, one file for each
// protocol: OTLP/HTTP logs and metrics, Alertmanager (webhook version 4 and
// POST /api/v2/alerts), and Prunella's own JSON. docs/ingest.md is the page for
// those who send.
//
// A 2xx means that the Sink has the signals, and the Sink answers only when
// they are on disk. What cannot be stored is 503 with Retry-After; what cannot
// be read is 400 with a sentence that names it; what can be read in part is 200
// with the number of records that were refused. Nothing is dropped without
// being counted and said.
//
// What is not here: finding anything in a text (package match), and knowing
// whether a signal is a repetition of the fact (package correlate). Here only a
// repeated delivery of the same observation gets the same SignalID: an alert's
// is made of fingerprint, status and start, an OTLP record's of the bytes of its
// request and its place in it.
package ingest
