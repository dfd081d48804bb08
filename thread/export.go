package thread

import (
	"archive/zip"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

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
	var total uint64
	for _, f := range r.File {
		if f.FileInfo().IsDir() {
			continue
		}
		// What the archive says of itself; bounded holds it to that.
		if f.UncompressedSize64 > ratioFrom && f.UncompressedSize64/maxRatio > f.CompressedSize64 {
			return nil, e.tooLarge("%s in it is more than %d times as large as its compressed form, as in a ZIP bomb", f.Name, maxRatio)
		}
		if total += f.UncompressedSize64; total > maxTotal {
			return nil, e.tooLarge("it holds more than %d GiB", maxTotal>>30)
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
