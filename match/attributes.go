package match

import (
	"slices"
	"strings"

	"prunella"
)

// tellingAttributes are those in which loggers put what went wrong, when the
// body only says that something did: the exception of OpenTelemetry and of
// ECS, the error field of zap, zerolog, slog, pino, bunyan, logrus and structlog,
// and what OAuth calls its own.
var tellingAttributes = []string{"exception.type", "exception.message", "error.type", "error.message", "error.code", "error.kind", "error", "err", "err.type", "err.message", "err.code",
	"exception", "reason", "cause", "detail", "details", "error_description", "kid", "jwt.kid"}

// maxAttributeText bounds the bytes that one attribute adds to a text.
const maxAttributeText = 500

// withAttributes returns the text of a log record with what its attributes tell
// of an error, as key=value pairs. What the text holds already is not repeated.
func withAttributes(s prunella.Signal) string {
	var out []string
	for _, key := range tellingAttributes {
		v := s.Attributes[key]
		v = strings.Join(strings.Fields(strings.ToValidUTF8(v[:min(len(v), maxAttributeText)], "")), " ")
		pair := key + `="` + strings.ReplaceAll(v, `"`, "'") + `"`
		if v == "" || strings.Contains(s.Body, v) || strings.Contains(s.Body, pair) || slices.ContainsFunc(out, func(o string) bool { return strings.Contains(o, v) }) {
			continue
		}
		out = append(out, pair)
	}
	if len(out) == 0 {
		return s.Body
	}
	return strings.TrimSpace(s.Body + " " + strings.Join(out, " "))
}
