using WebVm.Api.Hosting;
using WebVm.Web;
using WebVm.Web.Components;

var builder = WebApplication.CreateBuilder(new WebApplicationOptions { Args = args, ContentRootPath = AppContext.BaseDirectory, WebRootPath = WebRoot.Find() });
builder.AddWebVm();
builder.Services.AddRazorComponents().AddInteractiveServerComponents();
builder.Services.AddHostedService<Greeting>();

var app = builder.Build();
app.UseWebVm();
app.UseAntiforgery();
app.UseStaticFiles();
app.MapWebVm();
app.MapRazorComponents<App>().AddInteractiveServerRenderMode();
app.Run();
