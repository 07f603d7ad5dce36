// Clicks on elements that say data-usidx go to the server as one text; searching and copying stay here.
(() => {
  const model = name => Bokeh.documents.map(doc => doc.get_model_by_name(name)).find(found => found)
  let count = 0
  const send = command => {
    const line = model("usidx-command")
    if (line) line.setv({value: JSON.stringify({...command, n: ++count})})
  }
  const within = event => event.composedPath().filter(node => node.dataset)
  document.addEventListener("click", event => {
    const found = within(event).find(node => node.dataset.usidx || node.dataset.copy !== undefined)
    if (!found || found.disabled) return
    if (found.dataset.copy !== undefined) { copy(found); return }
    event.preventDefault()
    const {usidx, ...rest} = found.dataset
    send({do: usidx, ...rest})
  })
  const copy = button => {
    const text = button.parentNode.querySelector("pre").textContent
    const area = document.createElement("textarea")
    area.value = text
    document.body.append(area)
    area.select()
    document.execCommand("copy")
    area.remove()
    const said = button.textContent
    button.textContent = "Copied"
    setTimeout(() => { button.textContent = said }, 1500)
  }
  const everywhere = (root, selector, found = []) => {
    for (const node of root.querySelectorAll("*")) {
      if (node.matches(selector)) found.push(node)
      if (node.shadowRoot) everywhere(node.shadowRoot, selector, found)
    }
    return found
  }
  const search = words => {
    for (const entry of everywhere(document, "button.entry"))
      entry.style.display = words.every(w => (entry.textContent + entry.title).toLowerCase().includes(w)) ? "" : "none"
  }
  document.addEventListener("input", event => {
    const field = within(event).find(node => node.dataset.search !== undefined)
    if (field) search(field.value.toLowerCase().split(/\s+/).filter(w => w))
  })
  document.addEventListener("keydown", event => {
    const field = within(event).find(node => node.dataset.enter)
    if (field && event.key === "Enter") { send({do: field.dataset.enter, text: field.value}); return }
    if (within(event).some(node => /^(INPUT|SELECT|TEXTAREA)$/.test(node.tagName))) return
    const moves = {ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down", Escape: "cancel"}
    if (!moves[event.key]) return
    event.preventDefault()
    send(event.key === "Escape" ? {do: "cancel"} : {do: "move", to: moves[event.key]})
  })
  window.usidx_lost = () => { document.querySelector(".lost").hidden = false }
})()
