package lint

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"redoubt/internal/redistest"
)

// Pages are read in a terminal and beside code, and in the order in which they name
// each other.
func TestPagesAreNotTooWideAndTheirLinksLeadSomewhere(t *testing.T) {
	pages := pagesOf(t)
	for name, text := range pages {
		redistest.CheckWidth(t, name, text)
		for _, wrong := range badLinks(pages, name) {
			t.Errorf("%s: no such file or heading: %s", name, wrong)
		}
	}
}

func TestBadLinks(t *testing.T) {
	pages := map[string]string{
		"README.md": "[a](docs/a.md) [b](docs/a.md#two-words-it-says) [web](https://example.org/x)",
		"docs/a.md": "# Two words, `it` says\n\n[up](../README.md) [here](#two-words-it-says) [none](#three)",
		"docs/b.md": "[gone](c.md) [no heading](a.md#one)",
	}
	for name, want := range map[string][]string{
		"README.md": nil,
		"docs/a.md": {"#three"},
		"docs/b.md": {"c.md", "a.md#one"},
	} {
		if got := badLinks(pages, name); !slices.Equal(got, want) {
			t.Errorf("bad links of %s are %q, want %q", name, got, want)
		}
	}
}

// pagesOf is all pages of the module by their paths, without the text of blocks of
// code: what a program prints is as wide as it is.
func pagesOf(t *testing.T) map[string]string {
	block := regexp.MustCompile("(?ms)^```.*?^```$")
	pages := make(map[string]string)
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(file) != ".md" {
			return err
		}
		text, err := os.ReadFile(file)
		name, _ := filepath.Rel(root, file)
		pages[filepath.ToSlash(name)] = block.ReplaceAllStringFunc(string(text), func(b string) string {
			return strings.Repeat("\n", strings.Count(b, "\n"))
		})
		return err
	})
	if err != nil || len(pages) < 2 {
		t.Fatalf("%d pages were found (%v)", len(pages), err)
	}
	return pages
}

var (
	link    = regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	unsaid  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// badLinks is the links of a page to files or headings that are not there.
func badLinks(pages map[string]string, name string) (bad []string) {
	for _, l := range link.FindAllStringSubmatch(pages[name], -1) {
		to := name
		if l[1] != "" {
			to = path.Join(path.Dir(name), l[1])
		}
		text, page := pages[to]
		if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(to))); !page && err != nil || l[2] != "" && !hasHeading(text, l[2][1:]) {
			bad = append(bad, l[1]+l[2])
		}
	}
	return bad
}

// hasHeading reports whether a page has a heading with that anchor, made as GitHub
// makes it.
func hasHeading(page, anchor string) bool {
	return slices.ContainsFunc(heading.FindAllStringSubmatch(page, -1), func(h []string) bool {
		return strings.ReplaceAll(unsaid.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-") == anchor
	})
}
