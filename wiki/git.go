package wiki

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"prunella"
)

// Version is a page at one commit.
type Version struct {
	Commit string    `json:"commit"`
	Path   string    `json:"path"` // of the page then, from the wiki's folder
	Author string    `json:"author"`
	Email  string    `json:"email,omitempty"`
	Time   time.Time `json:"time"`
	Reason string    `json:"reason"` // the commit message
}

// gitPatience bounds one run of git, hooks included.
const gitPatience = 30 * time.Second

// mostVersions is how far a history goes back.
const mostVersions = 200

// inherited are variables of a surrounding git (we may run in a hook) that
// would send our git to another repository or index.
var inherited = regexp.MustCompile(`^GIT_(DIR|WORK_TREE|INDEX_FILE|PREFIX|OBJECT_DIRECTORY|ALTERNATE_OBJECT_DIRECTORIES|COMMON_DIR|NAMESPACE|CONFIG.*|EDITOR|LITERAL_PATHSPECS|TERMINAL_PROMPT)=`)

// git runs the git program in a folder. Its complaint is the error's text.
func git(ctx context.Context, dir, input string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), gitPatience)
	defer cancel()
	args = append([]string{"-c", "core.quotepath=false", "-c", "gc.auto=0", "-c", "maintenance.auto=false"}, args...)
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(input)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), inherited.MatchString),
		"LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_LITERAL_PATHSPECS=1", "GIT_EDITOR=true")
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // hooks end with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	switch {
	case err == nil:
		return out.String(), nil
	case errors.Is(err, exec.ErrNotFound):
		return "", errors.New("the git program is not installed")
	case ctx.Err() != nil:
		return "", fmt.Errorf("git took longer than %v; perhaps a hook or a signing key waits for somebody", gitPatience)
	}
	text := strings.TrimSpace(complaint.String() + "\n" + out.String())
	return "", &gitError{text}
}

type gitError struct{ text string }

func (e *gitError) Error() string { return e.text }

// complaints of git, and what to say instead.
var complaints = []struct {
	in     *regexp.Regexp
	reason string
}{
	{regexp.MustCompile(`index\.lock': File exists|cannot lock ref`), "another git command holds the repository's lock; commit it when that has ended, or remove a lock file that was left over"},
	{regexp.MustCompile(`tell me who you are|empty ident|unable to auto-detect email`), "git does not know who commits; set user.name and user.email in the repository's configuration"},
	{regexp.MustCompile(`cannot do a partial commit during`), "a merge, rebase or cherry-pick is going on in the repository; finish it and commit the page with it"},
	{regexp.MustCompile(`ignored by one of your \.gitignore`), "the repository's .gitignore excludes the page"},
	{regexp.MustCompile(`dubious ownership`), "the repository belongs to another user; add it to git's safe.directory"},
	{regexp.MustCompile(`gpg failed|failed to sign`), "git could not sign the commit; it needs a key that does not ask, or commit.gpgsign=false"},
}

// kept tells whether the wiki's folder lies in a git working tree.
func (w *Wiki) kept() bool {
	for dir := w.dir; w.root != nil; {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			return true
		}
		up := filepath.Dir(dir)
		if up == dir {
			break
		}
		dir = up
	}
	return false
}

// commit commits pages that were written or removed, and nothing else that is
// staged or changed. A commit that fails is told as a sentence: the pages are
// on disk all the same.
func (w *Wiki) commit(ctx context.Context, names []string, author, reason string) (commit, why string) {
	if !w.config.Commit || !w.kept() {
		return "", ""
	}
	groups := map[string][]string{} // by repository: a folder may be a submodule
	var order []string
	for _, name := range names {
		top, rel, err := w.place(ctx, name)
		if err != nil {
			return "", notCommitted(err)
		}
		if groups[top] == nil {
			order = append(order, top)
		}
		groups[top] = append(groups[top], rel)
	}
	for _, top := range order {
		var err error
		if commit, err = commitIn(ctx, top, groups[top], author, reason); err != nil {
			return "", notCommitted(err)
		}
	}
	return commit, ""
}

func notCommitted(err error) string {
	for _, c := range complaints {
		if c.in.MatchString(err.Error()) {
			return "the page is written but not committed: " + c.reason
		}
	}
	return "the page is written but not committed: " + strings.Join(strings.Fields(err.Error()), " ")
}

// place is the repository a page is kept in, and its path there.
func (w *Wiki) place(ctx context.Context, name string) (top, rel string, err error) {
	full := filepath.Join(w.dir, filepath.FromSlash(name))
	dir := filepath.Dir(full)
	for dir != w.dir {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	out, err := git(ctx, dir, "", "rev-parse", "--show-toplevel")
	if err != nil {
		return "", "", err
	}
	top = strings.TrimSuffix(out, "\n")
	rel, err = filepath.Rel(top, full)
	return top, filepath.ToSlash(rel), err
}

// commitIn commits paths of one repository. A path that git does not know is
// made known first, without its content, as `git commit --only` asks for; that
// form leaves whatever else is staged as it is.
func commitIn(ctx context.Context, top string, paths []string, author, reason string) (string, error) {
	var known, added []string
	for _, p := range paths {
		out, err := git(ctx, top, "", "ls-files", "-z", "--", p)
		if err != nil {
			return "", err
		}
		if out == "" {
			if _, err := os.Lstat(filepath.Join(top, filepath.FromSlash(p))); err != nil {
				continue // neither there nor known
			}
			added = append(added, p)
		}
		known = append(known, p)
	}
	if len(known) == 0 {
		return "", nil
	}
	if len(added) > 0 {
		if _, err := patiently(ctx, top, "", append([]string{"add", "-N", "--"}, added...)...); err != nil {
			return "", err
		}
	}
	args := []string{"commit", "-q", "--only", "-F", "-"}
	if author != "" {
		args = append(args, "--author="+ident(author))
	}
	args = append(append(args, "--"), known...)
	_, err := patiently(ctx, top, message(reason), args...)
	if err != nil && !nothingToCommit.MatchString(err.Error()) {
		if len(added) > 0 {
			_, undo := git(ctx, top, "", append([]string{"rm", "--cached", "-q", "-f", "--"}, added...)...)
			err = errors.Join(err, undo)
		}
		return "", err
	}
	out, err := git(ctx, top, "", "rev-parse", "HEAD")
	return strings.TrimSpace(out), err
}

var nothingToCommit = regexp.MustCompile(`nothing to commit|nothing added to commit|no changes added to commit`)

// patiently runs git again while another git holds a lock.
func patiently(ctx context.Context, top, input string, args ...string) (string, error) {
	for wait := 50 * time.Millisecond; ; wait *= 2 {
		out, err := git(ctx, top, input, args...)
		if err == nil || wait > 800*time.Millisecond || !complaints[0].in.MatchString(err.Error()) {
			return out, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return out, err
		}
	}
}

// ident is an author as git wants it: "Name <address>".
func ident(author string) string {
	author = strings.Join(strings.FieldsFunc(author, func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	name, address := author, ""
	if i := strings.IndexByte(author, '<'); i >= 0 {
		name, address = author[:i], strings.TrimRight(author[i+1:], "> ")
	}
	strip := func(s string) string {
		return strings.TrimSpace(strings.Map(func(r rune) rune {
			if r == '<' || r == '>' {
				return -1
			}
			return r
		}, s))
	}
	if name = strip(name); name == "" || strings.Trim(name, ".,:;'\"\\") == "" {
		name = "Prunella"
	}
	return name + " <" + strip(address) + ">"
}

func message(reason string) string {
	return strings.TrimSpace(strings.ReplaceAll(strings.ToValidUTF8(reason, ""), "\x00", "")) + "\n"
}

// History lists the commits that changed a page, newest first, also under the
// names that it had before. It is empty when pages are not kept in git.
func (w *Wiki) History(ctx context.Context, name string) ([]Version, error) {
	if _, err := w.clean("read history", name); err != nil && w.root != nil {
		return nil, err
	}
	if !w.kept() {
		return nil, nil
	}
	top, rel, err := w.place(ctx, name)
	if err != nil {
		return nil, historyError(name, err)
	}
	out, err := git(ctx, top, "", "log", "--follow", fmt.Sprintf("--max-count=%d", mostVersions), "-z", "--name-only",
		"--format=%x1e%H%x1f%an%x1f%ae%x1f%aI%x1f%B%x1f", "--", rel)
	if err != nil {
		if strings.Contains(err.Error(), "does not have any commits yet") {
			return nil, nil
		}
		return nil, historyError(name, err)
	}
	folder, err := filepath.Rel(top, w.dir)
	if err != nil {
		return nil, historyError(name, err)
	}
	var versions []Version
	for record := range strings.SplitSeq(out, "\x1e") {
		fields := strings.SplitN(record, "\x1f", 5)
		if len(fields) < 5 {
			continue
		}
		end := strings.LastIndexByte(fields[4], '\x1f')
		at, err := time.Parse(time.RFC3339, fields[3])
		if end < 0 || err != nil {
			continue
		}
		v := Version{Commit: fields[0], Author: fields[1], Email: fields[2], Time: at, Reason: strings.TrimSpace(fields[4][:end])}
		v.Path = strings.Trim(fields[4][end+1:], "\x00\n")
		if folder != "." {
			v.Path = strings.TrimPrefix(v.Path, filepath.ToSlash(folder)+"/")
		}
		versions = append(versions, v)
	}
	return versions, nil
}

func historyError(name string, err error) error {
	return &prunella.Error{Kind: prunella.Unavailable, Op: "read history", Where: name, Err: err}
}

// Revision is the text of a page at a commit of its history, which may be
// shortened to seven letters. NotFound: the history has no such commit.
func (w *Wiki) Revision(ctx context.Context, name, commit string) (string, error) {
	versions, err := w.History(ctx, name)
	if err != nil {
		return "", err
	}
	for _, v := range versions {
		if len(commit) < 7 || !strings.HasPrefix(v.Commit, commit) {
			continue
		}
		top, _, err := w.place(ctx, v.Path)
		if err != nil {
			return "", historyError(name, err)
		}
		folder, err := filepath.Rel(top, w.dir)
		if err != nil {
			return "", historyError(name, err)
		}
		text, err := git(ctx, top, "", "cat-file", "blob", v.Commit+":"+path.Join(filepath.ToSlash(folder), v.Path))
		if err != nil {
			return "", historyError(name, err)
		}
		return text, nil
	}
	return "", &prunella.Error{Kind: prunella.NotFound, Op: "read history", Where: name, Reason: fmt.Sprintf("its history has no commit %q", commit)}
}

// Diff compares a page at two commits; "" is the page as it is now.
func (w *Wiki) Diff(ctx context.Context, name, from, to string) ([]Line, error) {
	texts := make([]string, 2)
	for i, commit := range []string{from, to} {
		var err error
		if commit == "" {
			_, texts[i], err = w.Page(ctx, name)
		} else {
			texts[i], err = w.Revision(ctx, name, commit)
		}
		if err != nil {
			return nil, err
		}
	}
	return Compare(texts[0], texts[1]), nil
}
