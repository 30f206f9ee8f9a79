package api

import (
	"context"
	"net/http"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

type createTokenInput struct {
	Body gaea.TokenRequest
}

type tokenInput struct {
	ID string `path:"id" maxLength:"64" doc:"the token's id, not its text"`
}

func (a *API) tokens() {
	const tag = "tokens"
	route(a, operation{
		id: "list-tokens", method: http.MethodGet, path: "/v1/tokens", tag: tag, action: gaea.ActionTokens,
		summary: "List tokens, without their texts",
	}, func(ctx context.Context, _ *nothing) (*answer[gaea.Page[gaea.Token]], error) {
		list, err := a.deps.Tokens.List(ctx)
		if err != nil {
			return nil, err
		}
		return &answer[gaea.Page[gaea.Token]]{gaea.Page[gaea.Token]{Items: filled(list)}}, nil
	})
	route(a, operation{
		id: "create-token", method: http.MethodPost, path: "/v1/tokens", tag: tag, action: gaea.ActionTokens, status: http.StatusCreated,
		summary: "Make a token",
		about:   "The answer holds the token's text, this once.",
	}, func(ctx context.Context, in *createTokenInput) (*answer[gaea.CreatedToken], error) {
		tok, err := a.deps.Tokens.Create(ctx, in.Body)
		if err != nil {
			return nil, err
		}
		return &answer[gaea.CreatedToken]{*tok}, nil
	})
	route(a, operation{
		id: "delete-token", method: http.MethodDelete, path: "/v1/tokens/{id}", tag: tag, action: gaea.ActionTokens, status: http.StatusNoContent,
		summary: "Take a token out of use",
	}, func(ctx context.Context, in *tokenInput) (*nothing, error) {
		if err := a.deps.Tokens.Revoke(ctx, in.ID); err != nil {
			return nil, err
		}
		return &nothing{}, nil
	})
}

// filled makes an empty list of none, which JSON would write as null.
func filled[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
