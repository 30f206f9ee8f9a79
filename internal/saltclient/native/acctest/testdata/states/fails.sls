fails:
  cmd.run:
    - name: echo it cannot be; exit 4
