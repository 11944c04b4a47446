// What a hole in the page would let an article do, and what the browser says to it.
async () => {
  const tried = {};
  const attempt = (name, action) => {
    try {
      action();
      tried[name] = "done";
    } catch (error) {
      tried[name] = error.name;
    }
  };
  attempt("markup", () => {
    document.createElement("div").innerHTML = "<b>x</b>";
  });
  attempt("script", () => {
    document.createElement("script").src = "https://host.example/x.js";
  });
  await fetch("http://127.0.0.1:9/").then(
    () => (tried.fetch = "done"),
    (error) => (tried.fetch = error.name),
  );
  const div = document.createElement("div");
  div.setAttribute("style", "color: red");
  document.body.append(div);
  tried.style = getComputedStyle(div).color === "rgb(255, 0, 0)" ? "done" : "refused";
  return tried;
};
