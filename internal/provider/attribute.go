package provider

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// The attributes that every definition has.

func nameAttribute(noun string) schema.StringAttribute {
	return schema.StringAttribute{
		Required: true,
		MarkdownDescription: "Unique name of the " + noun + ": 1 to 128 letters, digits, dots, dashes and underscores. Another name is " +
			"another " + noun + ", so a change replaces it.",
		PlanModifiers: []planmodifier.String{stringplanmodifier.RequiresReplace()},
		Validators:    []validator.String{nameValidator()},
	}
}

func descriptionAttribute() schema.StringAttribute {
	return schema.StringAttribute{
		Optional:            true,
		MarkdownDescription: "What it is for, in at most 1024 characters.",
		Validators:          []validator.String{stringvalidator.UTF8LengthAtMost(1024)},
	}
}

func idAttribute(noun string) schema.StringAttribute {
	return schema.StringAttribute{
		Computed: true,
		MarkdownDescription: "The name. Where another definition takes it, it means the latest version of the " + noun + ", and a change " +
			"of the " + noun + " plans nothing there.",
	}
}

func refAttribute(noun string) schema.StringAttribute {
	return schema.StringAttribute{
		Computed: true,
		MarkdownDescription: "`NAME@DIGEST`: this very version of the " + noun + ", known when it is planned. Where another definition takes " +
			"it, what was planned is what runs, and a change of the " + noun + " is planned there too. Without a jobd it carries the " +
			noun + " itself, `NAME@DIGEST:PAYLOAD`, and can be read by whoever sees it.",
	}
}

// describedTimeouts is an attribute of framework-timeouts with a description, and with validators that name the attribute.
func describedTimeouts(a schema.Attribute, description string) schema.Attribute {
	nested, ok := a.(schema.SingleNestedAttribute)
	if !ok {
		return a
	}
	nested.MarkdownDescription = description
	for name, inner := range nested.Attributes {
		if text, ok := inner.(schema.StringAttribute); ok {
			// Their own validator lets "-5m" pass and does not name the attribute.
			text.Validators = []validator.String{durationValidator()}
			text.MarkdownDescription, text.Description = text.Description, ""
			nested.Attributes[name] = text
		}
	}
	return nested
}

// Values between Terraform and the domain. A text that is not set is null in Terraform and empty in the domain.

func textOrNull(s string) types.String {
	if s == "" {
		return types.StringNull()
	}
	return types.StringValue(s)
}

// keepText is the value of an attribute after jobd was asked: the prior one, null or empty, where there is still none.
func keepText(prior types.String, now string) types.String {
	if prior.ValueString() == now && !prior.IsUnknown() {
		return prior
	}
	return textOrNull(now)
}

// keepDuration is the same for a duration, which can be written in many ways: "60m" stays when jobd says "1h".
func keepDuration(prior types.String, now gaea.Duration) types.String {
	if before, err := gaea.ParseDuration(prior.ValueString()); err == nil && before == now {
		return prior
	}
	if now == 0 {
		return types.StringNull()
	}
	return types.StringValue(now.String())
}

// duration reads a duration attribute that the validators have passed; zero where it is not set.
func duration(v types.String) gaea.Duration {
	d, err := gaea.ParseDuration(v.ValueString())
	if err != nil {
		return 0
	}
	return d
}

// numberIn reads a whole number that is written as a text; zero where it is not set.
func numberIn(v types.String) (int, error) {
	if v.ValueString() == "" {
		return 0, nil
	}
	return wholeNumber(v.ValueString())
}

// keepNumber is keepText for a whole number, where zero is not set.
func keepNumber(prior types.String, now int) types.String {
	if before, err := numberIn(prior); err == nil && before == now && !prior.IsUnknown() {
		return prior
	}
	if now == 0 {
		return types.StringNull()
	}
	return types.StringValue(strconv.Itoa(now))
}

// texts are the elements of a list or set of strings.
func texts(elements []attr.Value) []string {
	out := make([]string, 0, len(elements))
	for _, e := range elements {
		if s, ok := e.(types.String); ok {
			out = append(out, s.ValueString())
		}
	}
	return out
}

func sortedTexts(elements []attr.Value) []string {
	out := texts(elements)
	slices.Sort(out)
	return out
}

func textValues(list []string) []attr.Value {
	out := make([]attr.Value, len(list))
	for i, s := range list {
		out[i] = types.StringValue(s)
	}
	return out
}

func textList(list []string) types.List {
	return types.ListValueMust(types.StringType, textValues(list))
}

func textSet(list []string) types.Set {
	return types.SetValueMust(types.StringType, textValues(list))
}

// keepList is the value of an optional list after jobd was asked; keepSet the same for a set.
func keepList(prior types.List, now []string) types.List {
	if !prior.IsUnknown() && slices.Equal(texts(prior.Elements()), now) {
		return prior
	}
	if len(now) == 0 {
		return types.ListNull(types.StringType)
	}
	return textList(now)
}

func keepSet(prior types.Set, now []string) types.Set {
	sorted := slices.Sorted(slices.Values(now))
	if !prior.IsUnknown() && slices.Equal(sortedTexts(prior.Elements()), sorted) {
		return prior
	}
	if len(now) == 0 {
		return types.SetNull(types.StringType)
	}
	return textSet(sorted)
}

// textMap are the elements of a map of strings; nil where there are none.
func textMap(m types.Map) map[string]string {
	var out map[string]string
	for name, e := range m.Elements() {
		if s, ok := e.(types.String); ok {
			if out == nil {
				out = map[string]string{}
			}
			out[name] = s.ValueString()
		}
	}
	return out
}

// keepMap is the value of an optional map after jobd was asked.
func keepMap(prior types.Map, now map[string]string) types.Map {
	if !prior.IsUnknown() && maps.Equal(textMap(prior), now) {
		return prior
	}
	if len(now) == 0 {
		return types.MapNull(types.StringType)
	}
	values := make(map[string]attr.Value, len(now))
	for name, s := range now {
		values[name] = types.StringValue(s)
	}
	return types.MapValueMust(types.StringType, values)
}

// textArgs are the arguments of a function as the domain has them; nil where there are none.
func textArgs(list types.List) []any {
	var args []any
	for _, s := range texts(list.Elements()) {
		args = append(args, s)
	}
	return args
}

// argTexts are arguments as an attribute shows them. One that is no text was not set by Terraform: it is shown as JSON.
func argTexts(args []any) ([]string, error) {
	out := make([]string, 0, len(args))
	for _, a := range args {
		if s, ok := a.(string); ok {
			out = append(out, s)
			continue
		}
		b, err := json.Marshal(a)
		if err != nil {
			return nil, fmt.Errorf("argument %v: %w", a, err)
		}
		out = append(out, string(b))
	}
	return out, nil
}

// field is a text attribute of an object; null where the object is.
func field(o types.Object, name string) types.String {
	if s, ok := o.Attributes()[name].(types.String); ok {
		return s
	}
	return types.StringNull()
}

// keepFields is the value of an optional object after jobd was asked, given its attributes: null where none of them has a
// value, unless the user wrote an empty object.
func keepFields(prior types.Object, attrTypes map[string]attr.Type, now map[string]attr.Value) types.Object {
	if !empty(now) {
		return types.ObjectValueMust(attrTypes, now)
	}
	if !prior.IsNull() && empty(prior.Attributes()) {
		return prior
	}
	return types.ObjectNull(attrTypes)
}

func empty(values map[string]attr.Value) bool {
	for _, v := range values {
		if !v.IsNull() {
			return false
		}
	}
	return true
}
