using WebVm.Api.Hosting;
using WebVm.Web;
using WebVm.Web.InProcess;

if (args is [HealthProbe.Switch])
{
    return await HealthProbe.RunAsync();
}

var builder = WebApplication.CreateBuilder(new WebApplicationOptions { Args = args, ContentRootPath = AppContext.BaseDirectory, WebRootPath = WebRoot.Find() });
builder.AddWebVm();
builder.AddPages();
builder.Services.AddHostedService<Greeting>();

var app = builder.Build();
app.Services.GetRequiredService<InProcessPipeline>().Capture(app);
app.UsePublicFiles();
app.UseNotFoundPage();
app.UseWebVm();
app.UsePages();
app.MapWebVm();
app.MapPages();
await app.RunAsync();
return 0;
