// Starts Swagger UI on the document that the page names.
const place = document.getElementById("viewer");
SwaggerUIBundle({
  url: place.dataset.address,
  domNode: place,
  deepLinking: true,
  tryItOutEnabled: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
