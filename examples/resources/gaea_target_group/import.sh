# A target group is imported by its name.
terraform import gaea_target_group.web web
