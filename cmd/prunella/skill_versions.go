package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"prunella"
	"prunella/skill"
)

type skillDiffCmd struct {
	library
	Of   []string `arg:"" name:"version" help:"Two versions, each a file, a name, or NAME@VERSION; or a name or file and two versions of it. Versions come from the git history of the wiki and from what an import replaced (FILE.before)."`
	JSON bool     `help:"Print JSON." name:"json"`
}

// diffView is a comparison of two versions.
type diffView struct {
	Old     versionView    `json:"old"`
	New     versionView    `json:"new"`
	Level   skill.Level    `json:"level"` // the part of the version that such a change raises, "" for none
	Changes []skill.Change `json:"changes"`
	Unified string         `json:"unified"`
}

type versionView struct {
	File    string `json:"file"`
	Version string `json:"version"`
	Hash    string `json:"hash"`
}

// pair names the two versions to compare.
func (cmd skillDiffCmd) pair() (from, to string, err error) {
	switch of := cmd.Of; {
	case len(of) == 3:
		return of[0] + "@" + of[1], of[0] + "@" + of[2], nil
	case len(of) == 2 && skill.ValidVersion(of[1]) && !isFile(of[1]):
		name, _, older := cutVersion(of[0])
		if !older {
			return "", "", usage("%s is compared with one version; name two: prunella skill diff %[1]s V1 V2, or %[1]s@%s %[1]s", of[0], of[1])
		}
		return of[0], name + "@" + of[1], nil
	case len(of) == 2:
		return of[0], of[1], nil
	}
	return "", "", usage("name two versions to compare: prunella skill diff NAME V1 V2, or two files")
}

func (cmd skillDiffCmd) Run(c *console) error {
	from, to, err := cmd.pair()
	if err != nil {
		return err
	}
	a, err := cmd.version(c.ctx, from)
	if err != nil {
		return err
	}
	b, err := cmd.version(c.ctx, to)
	if err != nil {
		return err
	}
	v := compareSkills(a, b)
	if cmd.JSON {
		return printJSON(c.out, v)
	}
	if v.Unified == "" {
		_, err := fmt.Fprintln(c.out, "They are the same, byte for byte.")
		return err
	}
	fmt.Fprintf(c.out, "%s (%s) → %s (%s)\n", orDash(v.Old.Version), v.Old.Hash[:12], orDash(v.New.Version), v.New.Hash[:12])
	for _, x := range v.Changes {
		detail := ""
		if x.Detail != "" {
			detail = ": " + x.Detail
		}
		fmt.Fprintf(c.out, "  %-5s  %s %s %s%s\n", x.Level, x.Kind, x.Name, x.What, detail)
	}
	if v.Level != "" {
		fmt.Fprintf(c.out, "Such a change raises the %s version.\n", v.Level)
	}
	fmt.Fprintf(c.out, "\n%s", v.Unified)
	return nil
}

func compareSkills(a, b *skill.Document) diffView {
	v := diffView{Old: viewVersion(a), New: viewVersion(b), Changes: skill.Diff(a, b),
		Unified: skill.Unified(a.Path, b.Path, string(a.Bytes()), string(b.Bytes()))}
	if v.Level = skill.LevelOf(v.Changes); v.Level == "" && v.Unified != "" {
		v.Level = skill.Patch // white space and the like
	}
	if v.Changes == nil {
		v.Changes = []skill.Change{}
	}
	return v
}

func viewVersion(d *skill.Document) versionView {
	version, _ := d.Meta("version")
	return versionView{File: d.Path, Version: version, Hash: d.Hash()}
}

// cutVersion takes NAME@VERSION apart; older is false when no version is named.
func cutVersion(of string) (name, version string, older bool) {
	at := strings.LastIndexByte(of, '@')
	if at < 0 || isFile(of) {
		return of, "", false
	}
	return of[:at], of[at+1:], true
}

// version reads a file, a skill of the wiki, or an earlier version of it.
func (l library) version(ctx context.Context, of string) (*skill.Document, error) {
	name, version, older := cutVersion(of)
	now, err := l.open(name)
	if err != nil || !older {
		return now, err
	}
	var known []string
	same := func(d *skill.Document) bool {
		v, _ := d.Meta("version")
		if v != "" && !slices.Contains(known, v) {
			known = append(known, v)
		}
		return skill.CompareVersions(v, version) == 0 || strings.HasPrefix(d.Hash(), version) && len(version) >= 8
	}
	if same(now) {
		return now, nil
	}
	unknown := &prunella.Error{Kind: prunella.NotFound, Op: "find the version", Where: of, Reason: fmt.Sprintf("%s was never at version %s", name, version)}
	if l.Wiki == "" && !isFile(name) {
		unknown.Remedy = "the shipped page is at " + orDash(strings.Join(known, "")) + " and has no other version; name a folder in git with --wiki DIR"
		return nil, unknown
	}
	if d, err := readSkill(now.Path + ".before"); err == nil && same(d) { // what an import replaced
		return d, nil
	}
	commits, err := history(ctx, now.Path)
	for _, commit := range commits {
		d, err := commit.read(ctx)
		if err != nil {
			continue // it was not there, or could not be read, at that commit
		}
		if same(d) {
			return d, nil
		}
	}
	unknown.Remedy = "known are " + orDash(strings.Join(known, ", "))
	if err != nil {
		unknown.Remedy += ", and there is no git history of it"
	}
	return nil, unknown
}

// committed is a file as a commit has it.
type committed struct {
	file   string // where it is now
	commit string
	path   string // where it was then, from the top of the repository or, with ./, from the folder of file
}

// history lists the commits that changed a file, newest first, under the names
// that it had. An error: it is in no repository, or there is no git.
func history(ctx context.Context, file string) ([]committed, error) {
	out, err := git(ctx, file, "-c", "core.quotepath=off", "log", "--format=%x00%H", "--name-only", "--follow", "--", filepath.Base(file))
	if err != nil {
		return nil, err
	}
	var all []committed
	for _, one := range strings.Split(string(out), "\x00")[1:] {
		if commit, path, ok := strings.Cut(strings.TrimSpace(one), "\n"); ok {
			all = append(all, committed{file, commit, strings.TrimSpace(path)})
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no commit has the file")
	}
	return all, nil
}

func (c committed) read(ctx context.Context) (*skill.Document, error) {
	b, err := git(ctx, c.file, "show", c.commit+":"+c.path)
	if err != nil {
		return nil, err
	}
	return skill.Parse(c.file+" at "+c.commit[:min(12, len(c.commit))], b)
}

func git(ctx context.Context, file string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", filepath.Dir(file)}, args...)...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(complaint.String()))
	}
	return out, nil
}

type skillBumpCmd struct {
	File    string `arg:"" help:"The skill file." placeholder:"FILE"`
	Level   string `arg:"" optional:"" help:"major, minor or patch; without it the right one is named and nothing is written." enum:"major,minor,patch," default:""`
	Against string `help:"The version to compare with; default: the file as last committed." placeholder:"FILE"`
	JSON    bool   `help:"Print JSON." name:"json"`
}

// bumpView is what bump did or would do.
type bumpView struct {
	File     string         `json:"file"`
	From     string         `json:"from"`
	To       string         `json:"to"`
	Level    skill.Level    `json:"level"`
	Proposed skill.Level    `json:"proposed"` // by what changed, "" when nothing to compare with is known or nothing changed
	Changes  []skill.Change `json:"changes"`
	OldHash  string         `json:"old_hash"` // SHA-256 of the file
	NewHash  string         `json:"new_hash"` // of the file with the new version
	Written  bool           `json:"written"`
}

func (cmd skillBumpCmd) Run(c *console) error {
	d, err := readSkill(cmd.File)
	if err != nil {
		return err
	}
	from, _ := d.Meta("version")
	v := bumpView{File: cmd.File, From: from, Level: skill.Level(cmd.Level), Changes: []skill.Change{}, OldHash: d.Hash()}
	before, err := cmd.before(c.ctx)
	if err != nil {
		return err
	}
	if before != nil {
		diff := compareSkills(before, d)
		v.Proposed, v.Changes = diff.Level, diff.Changes
	}
	if v.Level == "" {
		v.Level = v.Proposed
	}
	if v.Level == "" {
		if cmd.JSON {
			return printJSON(c.out, v)
		}
		_, err := fmt.Fprintf(c.out, "%s is at %s. Nothing to compare with has changed; say major, minor or patch to raise it all the same.\n", cmd.File, orDash(from))
		return err
	}
	if v.To, err = skill.Bump(from, v.Level); err != nil {
		return err
	}
	if err := d.SetMeta("version", v.To); err != nil {
		return err
	}
	v.NewHash, v.Written = d.Hash(), cmd.Level != ""
	if v.Written {
		if err := writeSkill(cmd.File, d.Bytes()); err != nil {
			return err
		}
	}
	if cmd.JSON {
		return printJSON(c.out, v)
	}
	for _, x := range v.Changes {
		fmt.Fprintf(c.out, "  %-5s  %s %s %s\n", x.Level, x.Kind, x.Name, x.What)
	}
	if !v.Written {
		_, err := fmt.Fprintf(c.out, "%s: %s should become %s: prunella skill bump %s %s\n", cmd.File, v.From, v.To, cmd.File, v.Level)
		return err
	}
	fmt.Fprintf(c.out, "%s: %s → %s\n  sha256 %s → %s\n", cmd.File, v.From, v.To, v.OldHash, v.NewHash)
	if v.Proposed != "" && !v.Level.Covers(v.Proposed) {
		fmt.Fprintf(c.err, "what changed asks for %s; evidence for the old steps would count in full for the new ones\n", v.Proposed)
	}
	return nil
}

// before is the version to compare with, nil when there is none.
func (cmd skillBumpCmd) before(ctx context.Context) (*skill.Document, error) {
	if cmd.Against != "" {
		return readSkill(cmd.Against)
	}
	d, err := committed{cmd.File, "HEAD", "./" + filepath.Base(cmd.File)}.read(ctx)
	if err != nil {
		return nil, nil //nolint:nilerr // not in a repository: nothing to compare with
	}
	return d, nil
}
