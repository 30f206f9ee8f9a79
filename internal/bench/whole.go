package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdlab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

// whole is a real Salt with a jobd beside it.
type whole struct {
	lab    *saltlab.Lab
	jobd   *jobdlab.Jobd
	token  string
	client *jobdclient.Client
}

func (b *bench) withSalt(ctx context.Context, name string, minions int, states map[string]string, f func(*whole) error) (err error) {
	dir, err := b.dir(name)
	if err != nil {
		return err
	}
	roots := filepath.Join(dir, "states")
	if err := os.Mkdir(roots, 0o700); err != nil {
		return err
	}
	for sls, text := range states {
		if err := os.WriteFile(filepath.Join(roots, sls+".sls"), []byte(text), 0o600); err != nil {
			return err
		}
	}
	lab, err := saltlab.Start(ctx, saltlab.Config{Minions: minions, States: roots, Progress: say})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lab.Stop()) }()
	j, err := jobdlab.Start(ctx, jobdlab.Config{Binary: b.jobd, SaltConfigDir: lab.ConfigDir(), Dir: dir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Stop()) }()
	w := &whole{lab: lab, jobd: j}
	if w.token, err = j.Token(ctx, "apply", "bench"); err != nil {
		return err
	}
	if w.client, err = jobdclient.New(jobdclient.Config{Endpoint: j.Endpoint, Token: w.token}); err != nil {
		return err
	}
	defer w.client.Close()
	return f(w)
}

// measurePing times test.ping on three minions: jobd's API from accepted to complete, the salt command, and salt-api's local
// client, in turn.
func measurePing(ctx context.Context, b *bench) ([]figure, error) {
	var jobd, salt, api series
	err := b.withSalt(ctx, "ping", 3, nil, func(w *whole) error {
		token, err := saltAPILogin(ctx, w.lab)
		if err != nil {
			return err
		}
		for i := range b.rounds + 1 {
			start := time.Now()
			run, err := w.client.CreateRun(ctx, gaea.RunRequest{Function: "test.ping", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}}, fmt.Sprintf("ping-%d", i))
			if err != nil {
				return err
			}
			if run, err = w.client.WaitRun(ctx, run.ID, nil); err != nil {
				return err
			}
			viaJobd := time.Since(start)
			if n := run.Tally()[gaea.OutcomeSucceeded]; n != 3 {
				return fmt.Errorf("%d of 3 minions answered jobd", n)
			}
			start = time.Now()
			if out, err := w.lab.Salt(ctx, "*", "test.ping"); err != nil {
				return fmt.Errorf("salt: %w\n%s", err, out)
			}
			viaSalt := time.Since(start)
			start = time.Now()
			if err := saltAPIPing(ctx, w.lab, token, 3); err != nil {
				return err
			}
			viaAPI := time.Since(start)
			if i > 0 { // the first round warms everything up
				jobd, salt, api = append(jobd, viaJobd), append(salt, viaSalt), append(api, viaAPI)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	toSalt, toAPI := ratio(jobd.median(), salt.median()), ratio(jobd.median(), api.median())
	return []figure{
		{"test.ping on three minions through jobd's API, against the salt command", "at most 0.35 ×", fmt.Sprintf("%.2f × (%s against %s)", toSalt, jobd, salt), toSalt <= 0.35},
		{"the same, against salt-api's local client", "at most 0.9 ×", fmt.Sprintf("%.2f × (%s)", toAPI, api), toAPI <= 0.9},
	}, nil
}

const planned = 20 // assignments

// measurePlan times terraform plan of assignments without drift: from the archive, and with a test run for each.
func measurePlan(ctx context.Context, b *bench) ([]figure, error) {
	config, err := b.mirror(ctx)
	if err != nil {
		return nil, err
	}
	states := map[string]string{}
	for i := range planned {
		states[fmt.Sprintf("s%d", i)] = fmt.Sprintf("f%d:\n  file.managed:\n    - name: {{ grains['lab_root'] }}/f%d\n    - contents: text\n", i, i)
	}
	var archive, live series
	err = b.withSalt(ctx, "plan", 3, states, func(w *whole) error {
		env := append(os.Environ(), "TF_CLI_CONFIG_FILE="+config, "GAEA_ENDPOINT="+w.jobd.Endpoint, "GAEA_TOKEN="+w.token, "CHECKPOINT_DISABLE=1")
		dir, err := b.dir("plan-terraform")
		if err != nil {
			return err
		}
		terraform := func(args ...string) error {
			cmd := exec.CommandContext(ctx, "terraform", append(args, "-no-color", "-input=false")...)
			cmd.Dir, cmd.Env = dir, env
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("terraform %s: %w\n%s", strings.Join(args, " "), err, out)
			}
			return nil
		}
		write := func(mode string) error {
			text := fmt.Sprintf(planConfig, planned, mode)
			return os.WriteFile(filepath.Join(dir, "main.tf"), []byte(text), 0o600)
		}
		if err := errors.Join(write("archive"), terraform("init"), terraform("apply", "-auto-approve")); err != nil {
			return err
		}
		// A changed mode changes what is planned once: apply it, then time plans that are empty.
		timePlans := func(mode string, rounds int) (s series, err error) {
			if err := errors.Join(write(mode), terraform("apply", "-auto-approve")); err != nil {
				return nil, err
			}
			for range rounds {
				start := time.Now()
				if err := terraform("plan", "-detailed-exitcode"); err != nil {
					return nil, err
				}
				s = append(s, time.Since(start))
			}
			return s, nil
		}
		if live, err = timePlans("live", 3); err != nil {
			return err
		}
		archive, err = timePlans("archive", 3)
		return err
	})
	if err != nil {
		return nil, err
	}
	r := ratio(archive.median(), live.median())
	return []figure{{
		"terraform plan of 20 assignments, none drifted, from the archive, against mode = \"live\"", "at most 0.1 ×",
		fmt.Sprintf("%.2f × (%s against %s)", r, archive, live), r <= 0.1,
	}}, nil
}

const planConfig = `
terraform {
  required_providers {
    gaea = { source = "gaea-salt/gaea" }
  }
}
provider "gaea" {}
resource "gaea_target_group" "all" {
  name  = "all"
  match = "*"
}
resource "gaea_state_assignment" "s" {
  count        = %d
  name         = "s${count.index}"
  target_group = gaea_target_group.all.ref
  states       = ["s${count.index}"]
  drift_check  = { mode = %q, max_age = "1h" }
}
`
