package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// apiVersion is the version of the API's form. It is not jobd's, so that the document changes with the API only.
const apiVersion = "1"

const apiDescription = `jobd's API. Every route below /v1/ needs a token: Authorization: Bearer TOKEN, from "jobd token create".

A token has a role, and each role includes the ones before it: read (the action "read"), plan ("check"), apply ("define", "apply", "run", "cancel") and admin ("tokens"). The action of a route is its x-gaea-action.

Errors are RFC 9457 problems with a stable code and, for wrong input, the field. Durations are texts such as "30s" or "1h30m". Lists come in pages: pass next as cursor, and keep the filter.`

func humaConfig() huma.Config {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	registry.RegisterTypeAlias(reflect.TypeFor[gaea.Duration](), reflect.TypeFor[durationText]())
	registry.RegisterTypeAlias(reflect.TypeFor[gaea.Amount](), reflect.TypeFor[amountText]())
	registry.RegisterTypeAlias(reflect.TypeFor[gaea.Allowance](), reflect.TypeFor[allowanceText]())
	registry.RegisterTypeAlias(reflect.TypeFor[gaea.Hold](), reflect.TypeFor[holdText]())
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: decode}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:       "jobd",
				Version:     apiVersion,
				Description: apiDescription,
				License:     &huma.License{Name: "MPL-2.0", Identifier: "MPL-2.0"},
			},
			Components: &huma.Components{
				Schemas: registry,
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"token": {Type: "http", Scheme: "bearer", Description: "made by jobd token create"},
				},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	}
}

// decode reads a body. Numbers in free values (arguments, kwargs) keep their text, so that an id beyond 2^53 comes through
// whole and the digest of a definition is the same here as where it was written; only the look at the body's form takes
// them as plain numbers.
func decode(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if _, form := v.(*any); !form {
		dec.UseNumber()
	}
	if err := dec.Decode(v); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			return gaea.Errorf(gaea.CodeInvalid, "the body is not JSON: %s", err)
		}
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return gaea.Errorf(gaea.CodeInvalid, "the body holds more than one JSON value")
	}
	return nil
}

// durationText describes [gaea.Duration] as it travels.
type durationText string

// durationForm is a duration as it travels, without the ends of a pattern.
const durationForm = `(0|([0-9]+(\.[0-9]*)?(ns|us|µs|μs|ms|s|m|h))+)`

// Schema implements huma.SchemaProvider.
func (durationText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type:               huma.TypeString,
		Pattern:            `^` + durationForm + `$`,
		PatternDescription: `a duration, for example "30s", "10m" or "1h30m"`,
		Examples:           []any{"1h30m"},
	}
}

// amountText describes [gaea.Amount] as it travels.
type amountText string

// Schema implements huma.SchemaProvider.
func (amountText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type:               huma.TypeString,
		Pattern:            `^\s*(|0*[1-9][0-9]{0,8}|0*(100|[1-9][0-9]?)%)\s*$`,
		PatternDescription: `a number of minions or a share of them, for example "5" or "10%"`,
		Examples:           []any{"10%"},
	}
}

// allowanceText describes [gaea.Allowance] as it travels.
type allowanceText string

// Schema implements huma.SchemaProvider.
func (allowanceText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type:               huma.TypeString,
		Pattern:            `^(|\s*(0*[0-9]{1,9}|0*(100|[0-9]{1,2})%)\s*)$`,
		PatternDescription: `a number of minions from 0 up or a share of them, for example "0", "3" or "5%"`,
		Examples:           []any{"5%"},
	}
}

// holdText describes [gaea.Hold] as it travels.
type holdText string

// Schema implements huma.SchemaProvider.
func (holdText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type:               huma.TypeString,
		Pattern:            `^(|manual|` + durationForm + `)$`,
		PatternDescription: `a duration, for example "10m", or "manual"`,
		Examples:           []any{"10m"},
	}
}
