package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

func saltAPILogin(ctx context.Context, lab *saltlab.Lab) (token string, err error) {
	var answer struct {
		Return []struct {
			Token string `json:"token"`
		} `json:"return"`
	}
	err = saltAPIPost(ctx, lab.APIURL()+"/login", "", map[string]any{
		"username": lab.APIUser(), "password": lab.APIPassword(), "eauth": lab.APIEauth(), "sharedsecret": lab.APIPassword(),
	}, &answer)
	if err == nil && (len(answer.Return) == 0 || answer.Return[0].Token == "") {
		err = errors.New("salt-api gives no token")
	}
	if err != nil {
		return "", err
	}
	return answer.Return[0].Token, nil
}

// saltAPIPing has salt-api's local client ping every minion, of which so many answer.
func saltAPIPing(ctx context.Context, lab *saltlab.Lab, token string, minions int) error {
	var answer struct {
		Return []map[string]bool `json:"return"`
	}
	err := saltAPIPost(ctx, lab.APIURL()+"/", token, []map[string]any{{"client": "local", "tgt": "*", "fun": "test.ping"}}, &answer)
	if err == nil && (len(answer.Return) != 1 || len(answer.Return[0]) != minions) {
		err = fmt.Errorf("salt-api answers %v", answer)
	}
	return err
}

func saltAPIPost(ctx context.Context, url, token string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if token != "" {
		req.Header.Set("X-Auth-Token", token)
	}
	got, err := (&http.Client{Timeout: time.Minute}).Do(req)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	if got.StatusCode != http.StatusOK {
		return fmt.Errorf("salt-api answers %s", got.Status)
	}
	return json.NewDecoder(got.Body).Decode(answer)
}
