package ingest

// SeverityWords is how many words are known.
func SeverityWords() int { return len(severityWords) }
