package ingest

import (
	"strings"

	"prunella"
)

// severityWords maps the words that senders use, lower case. docs/ingest.md
// shows the same table, and a test compares them.
var severityWords = map[string]prunella.Severity{
	"critical": prunella.Critical, "crit": prunella.Critical, "fatal": prunella.Critical, "emergency": prunella.Critical, "emerg": prunella.Critical,
	"page": prunella.Critical, "disaster": prunella.Critical, "panic": prunella.Critical, "alert": prunella.Critical, "p1": prunella.Critical, "sev1": prunella.Critical,
	"high": prunella.High, "error": prunella.High, "err": prunella.High, "major": prunella.High, "severe": prunella.High, "p2": prunella.High, "sev2": prunella.High,
	"warning": prunella.Warning, "warn": prunella.Warning, "minor": prunella.Warning, "average": prunella.Warning, "p3": prunella.Warning, "sev3": prunella.Warning,
	"info": prunella.Info, "information": prunella.Info, "informational": prunella.Info, "notice": prunella.Info, "none": prunella.Info, "p4": prunella.Info, "sev4": prunella.Info,
	"low": prunella.Low, "debug": prunella.Low, "trace": prunella.Low, "p5": prunella.Low, "sev5": prunella.Low,
}

// severityOf maps a word, and says whether it is known.
func severityOf(word string) (prunella.Severity, bool) {
	s, ok := severityWords[strings.ToLower(strings.TrimSpace(word))]
	return s, ok
}

// otlpSeverity maps an OTLP severity: the number when there is one, else the
// text, else info.
func otlpSeverity(number int32, text string) prunella.Severity {
	switch {
	case number >= 21 && number <= 24: // FATAL
		return prunella.Critical
	case number >= 17 && number <= 20: // ERROR
		return prunella.High
	case number >= 13 && number <= 16: // WARN
		return prunella.Warning
	case number >= 9 && number <= 12: // INFO
		return prunella.Info
	case number >= 1 && number <= 8: // TRACE, DEBUG
		return prunella.Low
	}
	if s, ok := severityOf(text); ok {
		return s
	}
	return prunella.Info
}
