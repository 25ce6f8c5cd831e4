using WebVm.Api.Hosting;
using WebVm.Web;
using WebVm.Web.Components;

if (args is [HealthProbe.Switch])
{
    return await HealthProbe.RunAsync();
}

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
await app.RunAsync();
return 0;
