using WebVm.Api.Hosting;
using WebVm.Api.Settings;
using WebVm.Web;
using WebVm.Web.InProcess;

if (args is [HealthProbe.Switch])
{
    return await HealthProbe.RunAsync();
}

if (args is [SignInLinkVerb.Switch])
{
    return await SignInLinkVerb.RunAsync();
}

if (args is ["--help" or "-h" or "-?"])
{
    Console.WriteLine("""
        WebVm, a service that hosts virtual machines.

          webvm                  runs the service, until SIGTERM or Ctrl+C
          webvm --sign-in-link   prints a new one-time link for an administrator
          webvm --health         ends with 0 if the service on this machine is ready

        Settings are environment variables: WEBVM_LISTEN=http://127.0.0.1:9000 webvm. README.md lists them.
        """);
    return 0;
}

OwnDoors.Close();

// What the host says of a failed start is for developers; its owner is told below.
bool started = false;
try
{
    var builder = WebApplication.CreateBuilder(
        new WebApplicationOptions { Args = args, ContentRootPath = AppContext.BaseDirectory, WebRootPath = WebRoot.Find() });
    builder.Logging.AddFilter(
        "Microsoft.Extensions.Hosting.Internal.Host", level => level >= LogLevel.Warning && Volatile.Read(ref started));
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
    app.Lifetime.ApplicationStarted.Register(() => Volatile.Write(ref started, true));
    await app.RunAsync();
    return 0;
}
catch (Exception failure) when (!started && StartException.Explain(failure) is { } sentence)
{
    await Console.Error.WriteLineAsync($"webvm: {sentence}");
    return 4;
}
