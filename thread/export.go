package thread

import (
	"archive/zip"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"prunella"
)

// Bounds of an export. They keep a crafted archive from filling memory; a real
// one stays far below.
const (
	maxFiles   = 1 << 20  // entries in one archive
	maxTotal   = 4 << 30  // bytes read from one export, decompressed
	maxRatio   = 200      // decompressed to compressed, of a file above ratioFrom
	ratioFrom  = 32 << 20 // bytes
	maxMessage = 8 << 20  // bytes of JSON of one message
	maxText    = 1 << 20  // bytes of text of one message; the rest is cut off and reported
	maxList    = 64 << 20 // bytes of users.json and channels.json
	maxIssues  = 1000     // problems kept in a Report
)

// Export is an open Slack export: a ZIP file or the folder it unpacks to.
type Export struct {
	path     string
	files    fs.FS
	base     string // folder inside files that holds channels.json
	closers  []io.Closer
	zipped   map[string]*zip.File // by name; nil for a folder
	dir      Directory
	channels []Channel           // in order of their folders
	days     map[string][]string // channel folder: its files, sorted
	pins     map[string]bool     // folder + "/" + ts
	report   Report
	read     int64 // bytes so far
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
func OpenExport(name string) (*Export, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, &prunella.Error{Kind: prunella.NotFound, Op: "open export", Where: name, Err: withoutPath(err), Remedy: "give the path of the ZIP file or of its unpacked folder"}
	}
	e := &Export{path: name, days: map[string][]string{}, pins: map[string]bool{}}
	e.dir = Directory{Users: map[string]User{}, Channels: map[string]Channel{}}
	var names []string
	if info.IsDir() {
		names, err = e.openFolder(name)
	} else {
		names, err = e.openZip(name)
	}
	if err == nil {
		err = e.index(names)
	}
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func withoutPath(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func (e *Export) openFolder(name string) ([]string, error) {
	root, err := os.OpenRoot(name) // a link that leads out of the folder is not followed
	if err != nil {
		return nil, &prunella.Error{Kind: prunella.Invalid, Op: "open export", Where: name, Err: withoutPath(err), Remedy: "check who may read it"}
	}
	e.closers = append(e.closers, root)
	e.files = root.FS()
	var names []string
	err = fs.WalkDir(e.files, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			e.problem(p, "cannot be read: %v", withoutPath(err))
		case !d.IsDir():
			names = append(names, p)
		case strings.Count(p, "/") > 4:
			return fs.SkipDir
		}
		if len(names) > maxFiles {
			return e.tooLarge("it has more than %d files", maxFiles)
		}
		return nil
	})
	return names, err
}

func (e *Export) openZip(name string) ([]string, error) {
	r, err := zip.OpenReader(name)
	if err != nil {
		reason, remedy := "this is no ZIP archive, or it was cut off", "export or download it again; a Slack export ends in .zip"
		if !errors.Is(err, zip.ErrFormat) && !errors.Is(err, io.ErrUnexpectedEOF) {
			reason = "the ZIP archive cannot be read"
		}
		return nil, &prunella.Error{Kind: prunella.Invalid, Op: "open export", Where: name, Reason: reason, Err: withoutPath(err), Remedy: remedy}
	}
	e.closers = append(e.closers, r)
	if len(r.File) > maxFiles {
		return nil, e.tooLarge("it has more than %d files", maxFiles)
	}
	e.zipped = make(map[string]*zip.File, len(r.File))
	var names []string
	for _, f := range r.File {
		if f.FileInfo().IsDir() {
			continue
		}
		clean := path.Clean(f.Name)
		if clean != f.Name && clean+"/" != f.Name || !fs.ValidPath(clean) || strings.ContainsAny(f.Name, "\\:") {
			e.problem(f.Name, "the name leads out of the archive or is none that Slack writes; it was not read")
			continue
		}
		if e.zipped[clean] != nil {
			e.problem(f.Name, "the archive has this name twice; the first was read")
			continue
		}
		e.zipped[clean] = f
		names = append(names, clean)
	}
	return names, nil
}

func (e *Export) tooLarge(format string, args ...any) error {
	return &prunella.Error{Kind: prunella.TooLarge, Op: "read export", Where: e.path, Reason: fmt.Sprintf(format, args...),
		Remedy: "if it is a real export, split it by date or import its unpacked folder"}
}

func (e *Export) problem(file, format string, args ...any) {
	if len(e.report.Problems) < maxIssues {
		e.report.Problems = append(e.report.Problems, Problem{File: file, Text: fmt.Sprintf(format, args...)})
	}
}

// index finds the lists of users and channels and the files of each channel.
func (e *Export) index(names []string) error {
	slices.Sort(names)
	found := false
	for _, n := range names { // the shallowest: some tools wrap the export in a folder
		if b := path.Base(n); b == "channels.json" || b == "users.json" {
			if d := path.Dir(n); !found || strings.Count(d, "/") < strings.Count(e.base, "/") || d == "." {
				e.base, found = d, true
			}
		}
	}
	folders := map[string]bool{}
	for _, n := range names {
		rel := n
		if e.base != "." && e.base != "" {
			var ok bool
			if rel, ok = strings.CutPrefix(n, e.base+"/"); !ok {
				continue
			}
		}
		folder, file, ok := strings.Cut(rel, "/")
		if !ok || strings.Contains(file, "/") || !strings.HasSuffix(file, ".json") || strings.HasPrefix(folder, "__MACOSX") {
			continue
		}
		if _, err := fmt.Sscanf(file, "%4d-%2d-%2d.json", new(int), new(int), new(int)); err != nil {
			continue // canvas_in_the_conversation.json and the like
		}
		folders[folder] = true
		e.days[folder] = append(e.days[folder], n)
	}
	if !found && len(folders) == 0 {
		return &prunella.Error{Kind: prunella.Invalid, Op: "open export", Where: e.path, Reason: "this is no Slack export: there is neither channels.json nor users.json nor a folder with days",
			Remedy: "give the ZIP file that Slack made, or the folder it unpacks to"}
	}
	if err := e.readUsers(); err != nil {
		return err
	}
	named := map[string]Channel{}
	for _, list := range []struct{ file, kind string }{{"channels.json", "channel"}, {"groups.json", "group"}, {"mpims.json", "mpim"}, {"dms.json", "dm"}} {
		if err := e.readChannels(list.file, list.kind, named); err != nil {
			return err
		}
	}
	for folder := range folders {
		ch, ok := named[folder]
		if !ok {
			ch = Channel{Name: folder, Kind: "channel"}
			e.problem(folder, "no list of channels has it; its messages were read")
		}
		e.channels = append(e.channels, ch)
	}
	slices.SortFunc(e.channels, func(a, b Channel) int { return cmp.Compare(folderOf(a), folderOf(b)) })
	e.report.Channels, e.report.Users = len(e.channels), len(e.dir.Users)
	return nil
}

// folderOf is the folder of a channel: its name, or for direct messages the id.
func folderOf(c Channel) string {
	if c.Kind == "dm" {
		return c.ID
	}
	return c.Name
}

// readList decodes a list at the top of the export element by element. A list
// that is not there is an empty one.
func (e *Export) readList(file string, each func(json.RawMessage)) error {
	r, err := e.open(path.Join(e.base, file), maxList)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Close()
	err = elements(r, func(raw json.RawMessage) error { each(raw); return nil })
	if prunella.KindOf(err) == prunella.TooLarge {
		return err
	}
	if err != nil {
		e.problem(file, "%v; what stands before that was read", err)
	}
	return nil
}

func (e *Export) readUsers() error {
	return e.readList("users.json", func(raw json.RawMessage) {
		var u struct {
			ID      text `json:"id"`
			Name    text `json:"name"`
			Deleted bool `json:"deleted"`
			IsBot   bool `json:"is_bot"`
			Offset  int  `json:"tz_offset"`
			Real    text `json:"real_name"`
			Profile struct {
				Display text `json:"display_name"`
				Real    text `json:"real_name"`
				Title   text `json:"title"`
			} `json:"profile"`
		}
		err := json.Unmarshal(raw, &u)
		if u.ID == "" {
			e.problem("users.json", "a user without an id was left out (%v)", err)
			return
		}
		display := cmp.Or(string(u.Profile.Display), string(u.Profile.Real), string(u.Real))
		e.dir.Users[string(u.ID)] = User{ID: string(u.ID), Name: string(u.Name), Display: display, Title: string(u.Profile.Title),
			Bot: u.IsBot || u.ID == "USLACKBOT", Deleted: u.Deleted, Offset: u.Offset}
	})
}

func (e *Export) readChannels(file, kind string, named map[string]Channel) error {
	return e.readList(file, func(raw json.RawMessage) {
		var c struct {
			ID    text `json:"id"`
			Name  text `json:"name"`
			Topic struct {
				Value text `json:"value"`
			} `json:"topic"`
			Purpose struct {
				Value text `json:"value"`
			} `json:"purpose"`
			Pins []struct {
				ID text `json:"id"`
			} `json:"pins"`
		}
		err := json.Unmarshal(raw, &c)
		if c.ID == "" && c.Name == "" {
			e.problem(file, "a channel without an id was left out (%v)", err)
			return
		}
		ch := Channel{ID: string(c.ID), Name: cmp.Or(string(c.Name), string(c.ID)), Kind: kind, Topic: string(c.Topic.Value), Purpose: string(c.Purpose.Value)}
		e.dir.Channels[cmp.Or(ch.ID, ch.Name)] = ch
		named[folderOf(ch)] = ch
		for _, p := range c.Pins {
			e.pins[ch.Name+"/"+string(p.ID)] = true
		}
	})
}

// Close gives the file free.
func (e *Export) Close() error {
	var errs []error
	for _, c := range e.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// Directory is who and which channels the export lists.
func (e *Export) Directory() *Directory { return &e.dir }

// Report is complete when Messages was read to its end.
func (e *Export) Report() Report { return e.report }

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
		return errors.New("there is no list of messages in it")
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
