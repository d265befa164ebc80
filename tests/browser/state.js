// All that a click can change on a page, as one text.
() => [
  document.documentElement.outerHTML, scrollX, scrollY, document.querySelectorAll(":popover-open").length,
  ...Array.from(document.querySelectorAll("input, select, details"), e => `${e.checked} ${e.value} ${e.open}`),
  ...Array.from(document.querySelectorAll("canvas"), e => e.toDataURL()),
].join()
