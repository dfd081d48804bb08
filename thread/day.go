package thread

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"prunella"
)

// Messages reads every message as it was written, nothing redacted: channel by
// channel, within a channel by ts. What cannot be read is left out and stands in
// Report. An error ends the sequence: a bound was passed. It is read once.
func (e *Export) Messages() iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for _, ch := range e.channels {
			list, err := e.channel(ch)
			for _, m := range list {
				if !yield(m, nil) {
					return
				}
			}
			if err != nil {
				yield(Message{}, err)
				return
			}
		}
	}
}

// channel reads one channel. With an error it returns what it read before.
func (e *Export) channel(ch Channel) ([]Message, error) {
	var list []Message
	var failed error
	for _, file := range e.days[folderOf(ch)] {
		more, err := e.day(ch, file)
		list = append(list, more...)
		if err != nil {
			failed = err
			break
		}
	}
	list = e.unique(list)
	have := map[string]int{}
	for _, m := range list {
		if m.ThreadTS != "" && m.ThreadTS != m.TS {
			have[m.ThreadTS]++
		}
	}
	for i, m := range list {
		list[i].Pinned = m.Pinned || e.pins[ch.Name+"/"+m.TS]
		if m.Replies > have[m.TS] && len(e.report.Gaps) < maxIssues {
			e.report.Gaps = append(e.report.Gaps, Gap{Channel: ch.Name, TS: m.TS, Want: m.Replies, Have: have[m.TS]})
		}
	}
	e.report.Messages += len(list)
	return list, failed
}

// unique orders messages by ts and keeps one of each: the one edited last, and
// of equal ones the first.
func (e *Export) unique(list []Message) []Message {
	slices.SortStableFunc(list, func(a, b Message) int {
		return cmp.Or(compareTS(a.TS, b.TS), compareTS(b.Edited, a.Edited))
	})
	n := len(list)
	list = slices.CompactFunc(list, func(a, b Message) bool { return a.TS == b.TS })
	e.report.Duplicates += n - len(list)
	return list
}

// compareTS orders message ids by time; "" comes first.
func compareTS(a, b string) int {
	as, af, _ := strings.Cut(a, ".")
	bs, bf, _ := strings.Cut(b, ".")
	return cmp.Or(cmp.Compare(len(as), len(bs)), strings.Compare(as, bs), strings.Compare(af, bf))
}

// day reads one file. Only a bound of the whole export is an error.
func (e *Export) day(ch Channel, file string) ([]Message, error) {
	r, err := e.open(file, maxTotal)
	if err != nil {
		if prunella.KindOf(err) == prunella.TooLarge {
			return nil, err
		}
		e.problem(file, "cannot be read: %v", withoutPath(err))
		return nil, nil
	}
	defer r.Close()
	e.report.Files++
	var list []Message
	number := 0
	err = elements(r, func(raw json.RawMessage) error {
		number++
		m, err := DecodeMessage(ch, raw)
		if err != nil {
			e.problem(file, "message %d: %v", number, err)
			return nil
		}
		if !utf8.Valid(raw) {
			e.problem(file, "message %d (%s) has bytes that are no UTF-8; they were replaced by \uFFFD", number, m.TS)
		}
		if cut := len(m.Text) - maxText; cut > 0 {
			m.Text = strings.ToValidUTF8(m.Text[:maxText], "") + " …"
			e.problem(file, "message %d (%s) is longer than %d bytes; the last %d were cut off", number, m.TS, maxText, cut)
		}
		list = append(list, m)
		return nil
	})
	if prunella.KindOf(err) == prunella.TooLarge {
		return list, err
	}
	if err != nil {
		e.problem(file, "after message %d: %v; the %d before that were read", number, err, len(list))
	}
	return list, nil
}

// errMessageTooLarge ends the reading of one file.
var errMessageTooLarge = fmt.Errorf("a message has more than %d bytes", maxMessage)

// elements calls each for the elements of a JSON list without holding more than
// one of them. Comments, other texts and trailing bytes are errors.
func elements(r *bounded, each func(json.RawMessage) error) error {
	dec := json.NewDecoder(r)
	t, err := dec.Token()
	if err != nil {
		return readable(err)
	}
	if t != json.Delim('[') {
		return errors.New("there is no JSON list in it")
	}
	for dec.More() {
		r.element = 0
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return readable(err)
		}
		if err := each(raw); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return readable(err)
}

func readable(err error) error {
	var se *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the file ends in the middle")
	case errors.As(err, &se):
		return fmt.Errorf("byte %d is not JSON: %w", se.Offset, err)
	}
	return err
}

// bounded counts what is read against the bounds of the export.
type bounded struct {
	io.ReadCloser
	e       *Export
	limit   int64
	packed  int64 // compressed size, 0 for a plain file
	n       int64
	element int64 // since the last element began
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	b.element += int64(n)
	b.e.read += int64(n)
	switch {
	case b.e.read > maxTotal:
		return n, b.e.tooLarge("it holds more than %d GiB", maxTotal>>30)
	case b.packed > 0 && b.n > ratioFrom && b.n > maxRatio*b.packed:
		return n, b.e.tooLarge("a file in it is more than %d times as large as its compressed form, as in a ZIP bomb", maxRatio)
	case b.n > b.limit:
		return n, fmt.Errorf("it has more than %d bytes", b.limit)
	case b.element > maxMessage+(1<<20):
		return n, errMessageTooLarge
	}
	return n, err
}

func (e *Export) open(name string, limit int64) (*bounded, error) {
	b := &bounded{e: e, limit: limit}
	var err error
	if e.zipped == nil {
		b.ReadCloser, err = e.files.Open(name)
		return b, err
	}
	f := e.zipped[path.Clean(name)]
	if f == nil {
		return nil, fs.ErrNotExist
	}
	if f.Flags&1 != 0 {
		return nil, errors.New("it is encrypted")
	}
	b.packed = int64(f.CompressedSize64)
	b.ReadCloser, err = f.Open()
	return b, err
}
