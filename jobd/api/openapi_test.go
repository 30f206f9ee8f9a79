package api_test

import (
	"bytes"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/api"
)

func TestTheCommittedDocumentIsTheAPIs(t *testing.T) {
	committed, err := os.ReadFile("../../docs/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(committed, api.New(api.Deps{}).OpenAPI()) {
		t.Error("docs/openapi.json is stale; run: make generate")
	}
}

func TestTheDocumentIsServed(t *testing.T) {
	h := serve(t)
	r := h.do(request{method: http.MethodGet, path: "/openapi.json"}).want(http.StatusOK)
	if !bytes.Equal(r.body, h.api.OpenAPI()) || document(t, r.body).OpenAPI != "3.1.0" {
		t.Errorf("got %.100s", r.body)
	}
}

func TestEveryOperationIsDescribed(t *testing.T) {
	seen := map[string]bool{}
	for path, methods := range document(t, api.New(api.Deps{}).OpenAPI()).Paths {
		for method, op := range methods {
			if op.Summary == "" || op.OperationID == "" || len(op.Tags) != 1 || seen[op.OperationID] {
				t.Errorf("%s %s: %+v", method, path, op)
			}
			seen[op.OperationID] = true
		}
	}
	if len(seen) < 35 {
		t.Errorf("only %d operations", len(seen))
	}
}

func TestTheDocumentListsEveryOutcomeAndCode(t *testing.T) {
	doc := string(api.New(api.Deps{}).OpenAPI())
	list := func(values []string) string { return `"` + strings.Join(values, `","`) + `"` }
	flat := regexp.MustCompile(`\s`).ReplaceAllString(doc, "")
	var outcomes []string
	for _, o := range gaea.Outcomes() {
		outcomes = append(outcomes, string(o))
	}
	if !strings.Contains(flat, list(outcomes)) {
		t.Errorf("not in the document: %s", list(outcomes))
	}
	codes := list([]string{"invalid", "not_found", "conflict", "unauthenticated", "forbidden", "empty_target", "too_large", "timeout", "unavailable", "salt", "cancelled", "internal"})
	if !strings.Contains(flat, codes) {
		t.Errorf("not in the document: %s", codes)
	}
	var roles []string
	for _, r := range gaea.Roles() {
		roles = append(roles, string(r))
	}
	if !strings.Contains(flat, list(roles)) {
		t.Errorf("not in the document: %s", list(roles))
	}
}
