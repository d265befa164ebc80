// For each slide what is to be read on it; printed, what is wrong with its page as well.
printed => [...document.querySelectorAll(".slides section")].map(slide => {
  const box = slide.getBoundingClientRect(), found = [];
  const page = slide.closest(".pdf-page")?.getBoundingClientRect();
  if (printed != !!page || page?.width != 1280) found.push(`page: ${page?.width}`);
  for (const e of slide.querySelectorAll(".shows :not(.play *), h1, h2")) {
    const {top, bottom, left, right, width} = e.getBoundingClientRect();
    if (page && width && (top < page.top - 1 || bottom > page.bottom + 1 ||
                          left < page.left - 1 || right > page.right + 1))
      found.push(`cut: ${e.outerHTML.slice(0, 60)}`);
    if (page && width && !e.checkVisibility({visibilityProperty: true,
                                             opacityProperty: true}))
      found.push(`hidden: ${e.outerHTML.slice(0, 60)}`);
  }
  const text = slide.querySelector(".slide").cloneNode(true);
  text.querySelectorAll(".play").forEach(e => e.textContent = "");  // it changes as it runs
  return [text.textContent, printed ? found : []];
})
