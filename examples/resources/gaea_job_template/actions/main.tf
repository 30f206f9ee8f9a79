variable "balancer_token" {
  type      = string
  sensitive = true
}

resource "gaea_target_group" "monitoring" {
  name  = "monitoring"
  match = "G@role:monitoring"
}

# A release of the web servers, with all that surrounds it.
resource "gaea_job_template" "release" {
  name        = "release"
  description = "Two canaries, a look by somebody, then 20 minions at a time"

  batch = {
    size         = 20
    mode         = "stepped"
    order        = "random" # not rack by rack
    canary       = 2
    canary_hold  = "manual" # until `jobd resume RUN`
    max_failures = "5%"
    min_sample   = 20
    wait         = "10s"
  }
  timeouts    = { job = "4h", slice = "20m", gather = "10s" }
  concurrency = { lock = "web", policy = "refuse" } # not while another run with this lock has one of the minions

  pre_actions = [
    # Once, before the first slice: a request of jobd's own, and a runner on the master.
    {
      name = "announce"
      http = {
        url     = "https://balancer.example.com/maintenance"
        method  = "POST"
        headers = { Authorization = "Bearer ${var.balancer_token}", Content-Type = "application/json" }
        body    = jsonencode({ reason = "release" })
      }
      expect   = "ret.status == 202 && ret.json.accepted"
      retries  = 3
      interval = "10s"
      timeout  = "2m"
    },
    { name = "refresh", runner = "fileserver.update", expect = "ret == true" },
    # Before each slice, on its minions.
    { name = "drain", function = "cmd.run", args = ["lb-drain"], kwargs = jsonencode({ timeout = 60 }), scope = "slice", on_failure = "abort" },
  ]

  post_actions = [
    # After each slice: every minion must answer, looked at every 3 seconds for at most 2 minutes.
    { name = "health", function = "cmd.run_all", args = ["curl -fsS http://localhost/healthz"], scope = "slice", expect = "ret.retcode == 0", retries = 40, interval = "3s", timeout = "2m" },
    # Also when the slice went wrong.
    { name = "undrain", function = "cmd.run", args = ["lb-undrain"], scope = "slice", when = "always", on_failure = "continue" },
    # Once, at the end, on other minions; and only when it did not go well.
    { name = "monitor", function = "cmd.run", args = ["monitor-check web"], target_group = gaea_target_group.monitoring.ref, expect = "returns.all(m, returns[m] == 'ok')", on_failure = "continue" },
    { name = "page", http = { url = "https://pager.example.com/hook", method = "POST" }, when = "failure", on_failure = "continue" },
  ]
}
