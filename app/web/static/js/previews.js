// A few of the chosen photos, before they are sent. What the browser cannot draw is shown by the end of its name.
const SHOWN = 12;
const PICTURES = /\.(jpe?g|jpe|jfif|png|webp|avif|gif|bmp|tiff?|hei[cf]|jxl)$/i;

let addresses = [];

function preview({ file, name }) {
  const item = document.createElement("li");
  const image = new Image();
  const address = URL.createObjectURL(file);
  addresses.push(address);
  image.alt = name;
  image.title = name;
  image.decoding = "async";
  image.addEventListener("error", () => {
    const words = document.createElement("span");
    words.className = "mono t12";
    words.textContent = name.split(".").pop().toUpperCase();
    words.title = name;
    image.replaceWith(words);
  });
  image.src = address;
  item.append(image);
  return item;
}

export function showPreviews(list, files) {
  addresses.forEach((address) => URL.revokeObjectURL(address));
  addresses = [];
  const pictures = files.filter(({ name }) => PICTURES.test(name));
  // From end to end, not the first ones, which are often of one product.
  const step = Math.max(1, pictures.length / SHOWN);
  const some = Array.from({ length: Math.min(SHOWN, pictures.length) }, (_, n) => pictures[Math.floor(n * step)]);
  list.replaceChildren(...some.map(preview));
  if (pictures.length > some.length) {
    const more = document.createElement("li");
    more.className = "soft t12";
    more.textContent = `and ${new Intl.NumberFormat("en-GB").format(pictures.length - some.length)} more`;
    list.append(more);
  }
  list.hidden = !pictures.length;
}
