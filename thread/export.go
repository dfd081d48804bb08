package thread

import (
	"iter"

	"prunella"
)

// Export is an open Slack export: a ZIP file or the folder it unpacks to.
type Export struct {
	dir    Directory
	report Report
}

// Report is what reading an export found, beside the messages.
type Report struct {
	Channels   int       `json:"channels"`
	Users      int       `json:"users"`
	Files      int       `json:"files"` // days read
	Messages   int       `json:"messages"`
	Duplicates int       `json:"duplicates"` // the same channel and ts again
	Problems   []Problem `json:"problems"`
	Gaps       []Gap     `json:"gaps"`
}

// Problem is a part of an export that could not be read; the rest was.
type Problem struct {
	File string `json:"file"`
	Text string `json:"text"`
}

// Gap is a conversation that lacks replies that Slack counted.
type Gap struct {
	Channel string `json:"channel"`
	TS      string `json:"ts"`
	Want    int    `json:"want"`
	Have    int    `json:"have"`
}

// OpenExport opens an export and reads who and which channels are in it. A path
// that is no export is Invalid, one that is not there NotFound.
func OpenExport(path string) (*Export, error) {
	return nil, prunella.Errorf(prunella.Invalid, "open export %s: not built yet", path)
}

// Close gives the file free.
func (e *Export) Close() error { return nil }

// Directory is who and which channels the export lists.
func (e *Export) Directory() *Directory { return &e.dir }

// Messages reads every message as it was written, nothing redacted: channel by
// channel, within a channel by ts. What cannot be read is left out and stands in
// Report. An error ends the sequence: a bound was passed.
func (e *Export) Messages() iter.Seq2[Message, error] {
	return func(func(Message, error) bool) {}
}

// Report is complete when Messages was read to its end.
func (e *Export) Report() Report { return e.report }

// DecodeMessage reads one message in Slack's JSON, as exports, the Web API and
// message events hold it. ch is the channel that it was written in.
func DecodeMessage(ch Channel, b []byte) (Message, error) {
	return Message{}, prunella.Errorf(prunella.Invalid, "decode message of %s: not built yet (%d bytes)", ch.Name, len(b))
}
