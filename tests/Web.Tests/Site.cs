using System.Text.RegularExpressions;
using Microsoft.Playwright;
using Xunit;

[assembly: WebVm.Kit.Service.ServiceReport]
[assembly: AssemblyFixture(typeof(WebVm.Web.Tests.Site))]
[assembly: CollectionBehavior(DisableTestParallelization = true)]

namespace WebVm.Web.Tests;

/// <summary>A running service and a browser; every test gets a window of its own.</summary>
public sealed partial class Site : IAsyncLifetime
{
    public const string Password = "correct horse battery staple";

    /// <summary>Milliseconds. Only what hangs takes longer, on however busy a host.</summary>
    public const int Patience = 90_000;

    // The container of builds has no user namespaces and a small /dev/shm.
    private static readonly string[] BrowserArguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"];
    private const string Chromium = "/usr/bin/chromium";

    private IPlaywright _playwright = null!;
    private IBrowser _browser = null!;
    private string? _state;
    private Task<BootedMachine>? _linux;
    private Task<BootedMachine>? _mouse;

    public ServiceProcess Service { get; private set; } = null!;

    /// <summary>What the service's https address is served with.</summary>
    public TestCertificate Certificate { get; private set; } = null!;

    public HttpClient Api => Service.Client;

    public string Address => Service.Address.ToString().TrimEnd('/');

    public string SignInLink => LinkOf(Service);

    /// <summary>What a service printed for the one who started it.</summary>
    public static string LinkOf(ServiceProcess service) => Link().Matches(service.Output).Last().Value;

    public async ValueTask InitializeAsync()
    {
        Certificate = TestCertificate.Create();
        Service = await ServiceProcess.StartAsync(settings: new(Guests.Settings())
        {
            ["WEBVM_IMPORT_FROM_PRIVATE_NETWORKS"] = "true",
            ["WEBVM_CERTIFICATE"] = Certificate.File,
            ["WEBVM_CERTIFICATE_KEY"] = Certificate.KeyFile,
            ["WEBVM_PROXIES"] = "127.0.0.1",
        });
        ServiceReport.Share(Service);
        _playwright = await Playwright.CreateAsync();
        Assertions.SetDefaultExpectTimeout(Patience);
        _browser = await _playwright.Chromium.LaunchAsync(new() { ExecutablePath = Chromium, Args = BrowserArguments });
    }

    public async ValueTask DisposeAsync()
    {
        await _browser.DisposeAsync();
        _playwright.Dispose();
        await Service.DisposeAsync();
        Certificate.Dispose();
    }

    /// <summary>Kills the service and starts it again.</summary>
    public async Task RestartAsync()
    {
        await Service.KillAsync();
        await Service.StartAgainAsync();
    }

    /// <summary>The one machine that tests share.</summary>
    public Task<BootedMachine> LinuxAsync()
    {
        return _linux ??= BootAsync();

        async Task<BootedMachine> BootAsync()
        {
            var machine = await BootedMachine.BootAsync(Api);
            await machine.ScreenReadyAsync();
            return machine;
        }
    }

    /// <summary>
    /// The one machine whose mouse reports to tests. The tiny kernel has no way to a program's own PS/2 port; the generic one has.
    /// </summary>
    public Task<BootedMachine> MouseAsync()
    {
        return _mouse ??= BootAsync();

        async Task<BootedMachine> BootAsync()
        {
            var machine = await BootedMachine.BootAsync(Api, "generic");
            await machine.TakeMouseAsync();
            return machine;
        }
    }

    /// <summary>A window of the administrator, signed in by the link of the first start.</summary>
    /// <param name="address">A way to the service that is not the straight one.</param>
    public async Task<Window> OpenAsync(
        ViewportSize? size = null, ColorScheme scheme = ColorScheme.Light, Handheld? device = null, Uri? address = null)
    {
        if (_state is null)
        {
            await using var first = await OpenAnonymousAsync();
            await first.Page.GotoAsync(SignInLink);
            await first.Page.GetByRole(AriaRole.Heading, new() { Name = "Machines", Exact = true }).WaitForAsync();
            _state = await first.Page.Context.StorageStateAsync();
        }

        return await OpenAsync(size, scheme, _state, device, address);
    }

    /// <summary>A window of a new user with the role.</summary>
    public async Task<Window> OpenAsAsync(string role)
    {
        string name = Rest.NewName(role);
        await Api.SendAsync(HttpMethod.Post, "/api/v1/users", new { name, role, password = Password });
        var window = await OpenAnonymousAsync();
        await window.SignInAsync(name, Password);
        await window.Page.GetByRole(AriaRole.Heading, new() { Name = "Machines", Exact = true }).WaitForAsync();
        return window;
    }

    public Task<Window> OpenAnonymousAsync() => OpenAsync(null, ColorScheme.Light, null, null, null);

    /// <summary>A window on another address of the service, which says that it comes from a client.</summary>
    public async Task<Window> OpenAtAsync(Uri address, string client)
    {
        var context = await _browser.NewContextAsync(
            new() { BaseURL = address.ToString(), IgnoreHTTPSErrors = true,
                ExtraHTTPHeaders = [KeyValuePair.Create("X-Forwarded-For", client)] });
        context.SetDefaultTimeout(Patience);
        return new Window(await context.NewPageAsync());
    }

    private async Task<Window> OpenAsync(ViewportSize? size, ColorScheme scheme, string? state, Handheld? device, Uri? address)
    {
        var context = await _browser.NewContextAsync(
            new() { BaseURL = address?.ToString()
                ?? Address, ViewportSize = device is null
                    ? size ?? new() { Width = 1440, Height = 900 }
                    : new() { Width = 390, Height = 844 },
                HasTouch = device is not null, IsMobile = device is not null, ColorScheme = scheme, ReducedMotion = ReducedMotion.Reduce,
                StorageState = state });
        context.SetDefaultTimeout(Patience);
        return new Window(await context.NewPageAsync());
    }

    [GeneratedRegex(@"http\S+/sign-in/link\?code=\S+")]
    private static partial Regex Link();
}

/// <summary>What is held in the hand instead of standing on a desk.</summary>
public enum Handheld
{
    Phone,
}

/// <summary>A browser window; what went wrong in its scripts is remembered.</summary>
public sealed class Window : IAsyncDisposable
{
    private const string Shown =
        "() => `${document.title} (focus: ${document.activeElement?.outerHTML.slice(0, 100)})\\n${document.body.innerText.slice(0, 4000)}`";

    private static readonly TimeSpan s_look = TimeSpan.FromSeconds(10);

    private readonly List<string> _errors = [];
    private readonly List<string> _exceptions = [];

    public Window(IPage page)
    {
        Page = page;
        page.PageError += (_, error) =>
        {
            _errors.Add(error);
            _exceptions.Add(error);
        };
        page.Console += (_, message) =>
        {
            if (message.Type == "error")
            {
                _errors.Add(message.Text);
            }
        };
    }

    public IPage Page { get; }

    public IReadOnlyList<string> Errors => _errors;

    /// <summary>Of the errors those that a script threw and nobody caught, or that a promise was broken with.</summary>
    public IReadOnlyList<string> Exceptions => _exceptions;

    public ILocator Heading(string name) => Page.GetByRole(AriaRole.Heading, new() { Name = name, Exact = true });

    public ILocator Button(string name) => Page.GetByRole(AriaRole.Button, new() { Name = name, Exact = true });

    /// <summary>Opens a page and waits until it is interactive.</summary>
    public async Task GoAsync(string path)
    {
        await Page.GotoAsync(path);
        await InteractiveAsync();
    }

    /// <summary>Waits until the page's connection is there: components that came with the first rendering are no longer marked.</summary>
    public Task InteractiveAsync() => Page.WaitForFunctionAsync("() => document.documentElement.dataset.interactive === 'true'");

    /// <summary>Waits until the page has loaded itself anew and is interactive after something that makes it do so.</summary>
    public async Task LoadedAnewAsync(Func<Task> act)
    {
        await Page.EvaluateAsync("() => { window.old = true; }");
        await act();
        await Page.WaitForFunctionAsync("() => !window.old && document.documentElement.dataset.interactive === 'true'");
    }

    /// <summary>Chooses from a menu.</summary>
    public async Task ChooseAsync(string menu, string item)
    {
        await Button(menu).ClickAsync();
        await Page.GetByRole(AriaRole.Menuitem, new() { Name = item, Exact = true }).ClickAsync();
    }

    public async Task SignInAsync(string name, string password)
    {
        await Page.GotoAsync("/sign-in");
        await Page.GetByLabel("Name").FillAsync(name);
        await Page.GetByLabel("Password").FillAsync(password);
        await Button("Sign in").ClickAsync();
    }

    public async ValueTask DisposeAsync()
    {
        TestContext.Current.TestOutputHelper?.WriteLine(await DescribeAsync());
        await Page.Context.CloseAsync();
    }

    /// <summary>What whoever reads of a test's failure wants to know of the window.</summary>
    private async Task<string> DescribeAsync()
    {
        string shown;
        try
        {
            shown = await Page.EvaluateAsync<string>(Shown).WaitAsync(s_look);
        }
        catch (Exception failure) when (failure is PlaywrightException or TimeoutException)
        {
            shown = failure.Message;
        }

        return $"The window at {Page.Url} had {_errors.Count} errors{string.Concat(_errors.Select(error => "\n  " + error))}\nand showed:\n{shown}\n";
    }
}
