package command

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

// paging is how much of a list a command prints.
type paging struct {
	Limit int  `short:"n" help:"How many, up to 1000." default:"20"`
	All   bool `help:"All, however many."`
}

// maxPage is how many items a page has at most.
const maxPage = 1000

func (p paging) check() error {
	if p.Limit < 1 || p.Limit > maxPage {
		return usageError("--limit must be between 1 and 1000; --all takes all")
	}
	return nil
}

// gather asks jobd for pages until there is enough. Next says where more is.
func gather[T any](w *world, r remote, p paging, list func(*jobdclient.Client, gaea.PageRequest) (gaea.Page[T], error)) (gaea.Page[T], error) {
	if err := p.check(); err != nil {
		return gaea.Page[T]{}, err
	}
	client, err := r.dial(w)
	if err != nil {
		return gaea.Page[T]{}, err
	}
	defer client.Close()
	all := gaea.Page[T]{Items: []T{}}
	for {
		request := gaea.PageRequest{Cursor: all.Next, Limit: maxPage}
		if !p.All {
			request.Limit = p.Limit - len(all.Items)
		}
		page, err := list(client, request)
		if err != nil {
			return gaea.Page[T]{}, err
		}
		all.Items, all.Next = append(all.Items, page.Items...), page.Next
		if all.Next == "" || !p.All && len(all.Items) >= p.Limit {
			return all, nil
		}
	}
}

// more says to people that there is more.
func (p paging) more(w *world, f format, next string) {
	if next != "" && f.Output == "table" {
		w.note("There are more: see them with -n %d, or --all.\n", min(max(10*p.Limit, 100), maxPage))
	}
}

// list prints a page, with a line before it for people that says what it is.
func list[T any](w *world, f format, p paging, value any, page gaea.Page[T], what, none string, header []string, row func(*T) []string) error {
	if f.Output == "table" {
		if len(page.Items) == 0 {
			w.note("%s\n", none)
			return nil
		}
		w.printf("%s\n\n", what)
	}
	rows := make([][]string, len(page.Items))
	for i := range page.Items {
		rows[i] = row(&page.Items[i])
	}
	if err := f.rows(w.Stdout, value, header, rows); err != nil {
		return err
	}
	p.more(w, f, page.Next)
	return nil
}

// took is a duration: milliseconds for scripts, and empty where it is not known.
func (f format) took(ms *float64) string {
	switch {
	case ms == nil && f.script():
		return ""
	case ms == nil:
		return "-"
	case f.script():
		return strconv.FormatFloat(*ms, 'f', -1, 64)
	}
	d := time.Duration(*ms * float64(time.Millisecond))
	switch {
	case d < 10*time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Hour:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}

// call is a function with its arguments, as the salt command takes them; for scripts the function alone.
func (f format) call(function string, args json.RawMessage, test bool) string {
	if f.script() {
		return function
	}
	var list []any
	dec := json.NewDecoder(strings.NewReader(string(args)))
	dec.UseNumber()
	words := []string{function}
	if dec.Decode(&list) == nil {
		for _, arg := range list {
			words = append(words, argument(arg)...)
		}
	}
	if test && !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, "test=") }) {
		words = append(words, "test=True")
	}
	const letters = 60
	text := []rune(strings.Join(words, " "))
	if len(text) > letters {
		text = append(text[:letters-1], '…')
	}
	return firstLine(string(text))
}

// argument is an argument of a function in words.
func argument(arg any) []string {
	switch arg := arg.(type) {
	case string:
		return []string{arg}
	case map[string]any:
		if arg["__kwarg__"] != true {
			break
		}
		var words []string
		for name, value := range arg {
			if name != "__kwarg__" {
				words = append(words, name+"="+plainValue(value))
			}
		}
		slices.Sort(words)
		return words
	}
	return []string{plainValue(arg)}
}

// plainValue is a value as the salt command shows it: True for true.
func plainValue(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		if v {
			return "True"
		}
		return "False"
	case nil:
		return "None"
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}
