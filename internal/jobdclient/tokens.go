package jobdclient

import (
	"context"
	"net/http"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Tokens lists the tokens that jobd knows, without their texts.
func (c *Client) Tokens(ctx context.Context) ([]gaea.Token, error) {
	out, err := get[gaea.Page[gaea.Token]](ctx, c, "/v1/tokens", nil)
	if err != nil {
		return nil, err
	}
	return out.Items, nil
}

// CreateToken makes a token. Its text is in the answer and nowhere else. It is not repeated after a lost connection.
func (c *Client) CreateToken(ctx context.Context, req gaea.TokenRequest) (*gaea.CreatedToken, error) {
	return send[gaea.CreatedToken](ctx, c, call{method: http.MethodPost, path: "/v1/tokens", body: req})
}

// DeleteToken takes a token out of use, within a few seconds. CodeNotFound.
func (c *Client) DeleteToken(ctx context.Context, id string) error {
	s, err := segment("id", id)
	if err != nil {
		return err
	}
	_, err = c.do(ctx, call{method: http.MethodDelete, path: "/v1/tokens/" + s})
	return err
}
