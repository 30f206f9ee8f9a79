terraform {
  required_version = ">= 1.11"
  required_providers {
    gaea = {
      source = "gaea-salt/gaea"
    }
  }
}

# Which jobd, and who asks. The token is better kept out of files: set GAEA_TOKEN.
provider "gaea" {
  endpoint = "http://127.0.0.1:7780"
}
