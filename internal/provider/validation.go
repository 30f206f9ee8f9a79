package provider

import (
	"context"
	"errors"
	"strconv"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

// textValidator checks a text with a function of the domain, so that the provider and jobd never differ in what is right.
type textValidator struct {
	description string
	check       func(string) error
}

func (v textValidator) Description(context.Context) string         { return v.description }
func (v textValidator) MarkdownDescription(context.Context) string { return v.description }

func (v textValidator) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if err := v.check(req.ConfigValue.ValueString()); err != nil {
		// The path of the request is the attribute; the field of the error is the domain's name for it.
		message := err.Error()
		if e, ok := errors.AsType[*gaea.Error](err); ok {
			message = e.Message
		}
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid "+req.Path.String(), sentence(message))
	}
}

// objectChecker checks an object as a whole as soon as all of it is known, with functions of the domain. check returns what is
// wrong and at which attribute.
type objectChecker struct {
	description string
	check       func(ctx context.Context, at path.Path, object types.Object) (path.Path, error)
}

func (v objectChecker) Description(context.Context) string         { return v.description }
func (v objectChecker) MarkdownDescription(context.Context) string { return v.description }

func (v objectChecker) ValidateObject(ctx context.Context, req validator.ObjectRequest, resp *validator.ObjectResponse) {
	if req.ConfigValue.IsNull() || !known(ctx, req.ConfigValue) {
		return
	}
	if at, err := v.check(ctx, req.Path, req.ConfigValue); err != nil {
		message := err.Error()
		if e, ok := errors.AsType[*gaea.Error](err); ok {
			message = e.Message
		}
		resp.Diagnostics.AddAttributeError(at, "Invalid "+at.String(), sentence(message))
	}
}

func nameValidator() validator.String {
	return textValidator{"a name of letters, digits, dots, dashes and underscores", gaea.ValidateName}
}

func refValidator() validator.String {
	return textValidator{"the ref or the id of a definition", func(s string) error {
		if _, err := gaea.ParseRef(s); err != nil {
			return gaea.Errorf(gaea.CodeInvalid, "%q names no definition; use its ref (NAME@DIGEST, for exactly what is planned) "+
				"or its id (NAME, for the latest version)", cut(s, 200))
		}
		return nil
	}}
}

func functionValidator() validator.String {
	return textValidator{"MODULE.FUNCTION", gaea.ValidateFunction}
}

func minionValidator() validator.String {
	return textValidator{"a minion id", gaea.ValidateMinionID}
}

func slsValidator() validator.String {
	return textValidator{"the name of an SLS", func(s string) error {
		return gaea.Assignment{Name: "x", TargetGroup: "x", States: []string{s}}.Validate()
	}}
}

func ignoreRuleValidator() validator.String {
	return textValidator{"MODULE.FUNCTION:ID-glob", func(s string) error {
		_, err := gaea.ParseIgnoreRule(s)
		return err
	}}
}

func amountValidator() validator.String {
	return textValidator{"a number of minions or a share of them", func(s string) error {
		_, err := gaea.ParseAmount(s)
		return err
	}}
}

func allowanceValidator() validator.String {
	return textValidator{"a number of minions from 0, or a share of them", func(s string) error {
		_, err := gaea.ParseAllowance(s)
		return err
	}}
}

func holdValidator() validator.String {
	return textValidator{"a duration, or manual", func(s string) error {
		_, err := gaea.ParseHold(s)
		return err
	}}
}

func wholeNumberValidator() validator.String {
	return textValidator{"a whole number", func(s string) error {
		_, err := wholeNumber(s)
		return err
	}}
}

func wholeNumber(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, gaea.Errorf(gaea.CodeInvalid, "%q is not a whole number; write for example 10", s)
	}
	return n, nil
}

func sampleValidator() validator.String {
	return textValidator{"a number of minions", func(s string) error {
		_, err := sampleSize(s)
		return err
	}}
}

// sampleSize reads a number of minions that is not zero: zero means "not set" in a definition.
func sampleSize(s string) (int, error) {
	n, err := wholeNumber(s)
	if err == nil && n == 0 {
		err = gaea.Errorf(gaea.CodeInvalid, "%q is no sample; write 1 or more, or leave the attribute out for its default", s)
	}
	return n, err
}

func expectValidator() validator.String {
	return textValidator{"a CEL expression", checkExpectation}
}

func objectValidator() validator.String {
	return textValidator{"a JSON object", func(s string) error {
		_, err := decodeObject(s)
		return err
	}}
}

// notSecretObject is said of a secret that is no JSON object: it quotes nothing.
const notSecretObject = "not a JSON object whose numbers can be carried exactly; write jsonencode({ key = \"value\" }), with long " +
	"numbers as texts"

func secretObjectValidator() validator.String {
	return textValidator{"a JSON object", func(s string) error {
		if _, err := decodeObject(s); err != nil {
			return errors.New(notSecretObject)
		}
		return nil
	}}
}

// positiveDuration reads a duration that is not zero: zero means "not set" in a definition.
func positiveDuration(s string) (gaea.Duration, error) {
	d, err := gaea.ParseDuration(s)
	if err == nil && d == 0 {
		err = gaea.Errorf(gaea.CodeInvalid, "%q is no time at all; write for example \"30s\", or leave the attribute out for its default", s)
	}
	return d, err
}

func durationValidator() validator.String {
	return textValidator{"a duration such as 30s, 10m or 1h30m", func(s string) error {
		_, err := positiveDuration(s)
		return err
	}}
}

func intervalValidator() validator.String {
	return textValidator{"a duration of at least " + gaea.MinCheckInterval.String(), func(s string) error {
		d, err := positiveDuration(s)
		if err == nil && d < gaea.MinCheckInterval {
			err = gaea.Errorf(gaea.CodeInvalid, "%q is too often; the shortest interval is %s", s, gaea.MinCheckInterval)
		}
		return err
	}}
}

func jidValidator() validator.String {
	return textValidator{"a Salt job id", func(s string) error {
		if !gaea.ValidJID(s) {
			return gaea.Errorf(gaea.CodeInvalid, "%q is not a Salt job id, which is a time in twenty digits, for example "+
				"\"20260102150405123456\"", s)
		}
		return nil
	}}
}

func endpointValidator() validator.String {
	return textValidator{"an http or https URL", checkEndpoint}
}

func checkEndpoint(s string) error {
	_, err := jobdclient.New(jobdclient.Config{Endpoint: s}) // sends nothing
	return err
}

// known says whether values are known, with all that is inside them.
func known(ctx context.Context, values ...attr.Value) bool {
	for _, v := range values {
		raw, err := v.ToTerraformValue(ctx)
		if err != nil || !raw.IsFullyKnown() {
			return false
		}
	}
	return true
}
