using System.Diagnostics;
using Xunit;

namespace WebVm.Api.Tests.Hosting;

/// <summary>How the scripts put the monitor where machines run it from (install_monitor, ./webvm publish).</summary>
public sealed class MonitorInstallTests : IDisposable
{
    private readonly Checkout _checkout = new();

    public void Dispose() => _checkout.Dispose();

    [Fact]
    public async Task What_is_installed_is_not_installed_again()
    {
        _checkout.StandInForTheSdk();
        string monitor = await InstallAsync();
        Assert.Equal(monitor, await InstallAsync());
        Assert.Equal(1, _checkout.Calls);
        Assert.Equal([monitor], Monitors());
        Assert.Equal("first", Symbols(monitor));
    }

    [Fact(Explicit = true)]
    public async Task Of_calls_at_once_one_installs()
    {
        _checkout.StandInForTheSdk();
        string[] monitors = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => InstallAsync()));
        Assert.Single(monitors.Distinct());
        Assert.Equal(1, _checkout.Calls);
    }

    [Fact(Explicit = true)]
    public async Task A_changed_monitor_gets_a_folder_of_its_own_and_the_old_one_goes_when_nothing_uses_it()
    {
        _checkout.StandInForTheSdk();
        string first = await InstallAsync();
        string second, third;
        using (var machine = new Running(first))
        {
            _checkout.Change("second");
            second = await InstallAsync();
            using var service = new Running("/bin/sleep", second);
            _checkout.Change("third");
            third = await InstallAsync();
            Assert.Equal(new[] { first, second, third }.Order(), Monitors());
            Assert.Equal("first", Symbols(first));
        }

        _checkout.Change("fourth");
        Assert.Equal([await InstallAsync()], Monitors());
    }

    /// <summary>Services and keepers of other accounts hold its lock; whose program theirs is nobody else reads in /proc.</summary>
    [Fact]
    public async Task A_monitor_whose_lock_is_held_stays_and_goes_when_it_is_let_go()
    {
        _checkout.StandInForTheSdk();
        string held = await InstallAsync();
        // FileShare.Read takes a shared flock(2).
        using (File.OpenHandle(held, FileMode.Open, FileAccess.Read, FileShare.Read))
        {
            _checkout.Change("second");
            Assert.Equal(new[] { held, await InstallAsync() }.Order(), Monitors());
        }

        _checkout.Change("third");
        Assert.Equal([await InstallAsync()], Monitors());
    }

    /// <summary>Killed before the step that is named, with everything that it had started.</summary>
    [Theory(Explicit = true)]
    [InlineData("dotnet")]
    [InlineData("cp")]
    [InlineData("sync")]
    [InlineData("mv")]
    public async Task An_install_that_was_killed_leaves_nothing_that_is_used(string step)
    {
        _checkout.StandInForTheSdk();
        _checkout.StandIn(
            step, step == "cp"
                ? """/bin/cp "${@: -1}" "$2"; kill -KILL -- -$(ps -o sid= -p $$ | tr -d " ")"""
                : "kill -KILL -- -$(ps -o sid= -p $$ | tr -d ' ')");
        var (exitCode, _) = await _checkout.InstallAsync();
        Assert.NotEqual(0, exitCode);
        Assert.All(Folders(), folder => Assert.EndsWith(".new", folder, StringComparison.Ordinal));

        _checkout.StandInNoMore(step);
        _checkout.StandInForTheSdk();
        string monitor = await InstallAsync();
        Assert.Equal(Path.GetDirectoryName(monitor), Assert.Single(Folders()));
        Assert.Equal(
            ["webvm-vmm", "webvm-vmm.dbg"], Directory.GetFiles(Path.GetDirectoryName(monitor)!).Select(Path.GetFileName)
                .Order(StringComparer.Ordinal));
    }

    /// <summary>
    /// Of the ways to build it those are taken in turn that are to be had, and what is not a native program says so at every start.
    /// </summary>
    [Theory(Explicit = true)]
    [InlineData("PublishAot=true", 2)]
    [InlineData("-p:Publish", 3)]
    public async Task Without_the_native_compiler_the_ordinary_build_is_installed_and_says_so(string missing, int tries)
    {
        _checkout.StandInForTheSdk(failing: missing);
        for (int start = 0; start < 2; start++)
        {
            var (exitCode, said) = await _checkout.InstallAsync();
            Assert.Equal(0, exitCode);
            Assert.StartsWith(
                "webvm: the monitor is the ordinary build: machines start later and behind fewer walls.", said[^2],
                StringComparison.Ordinal);
            Assert.Equal(
                ["native.log", "webvm-vmm", "webvm-vmm.dll", "webvm-vmm.runtimeconfig.json"],
                Directory.GetFiles(Path.GetDirectoryName(said[^1])!).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        }

        Assert.Equal(tries, _checkout.Calls);
    }

    [Fact]
    public async Task A_monitor_that_cannot_be_built_at_all_is_no_monitor()
    {
        _checkout.StandInForTheSdk(failing: "publish");
        var (exitCode, said) = await _checkout.InstallAsync();
        Assert.NotEqual(0, exitCode);
        Assert.Contains("webvm: the build of src/Vmm/Vmm.csproj failed", said);
        Assert.Empty(Folders());
    }

    [Fact]
    public async Task A_monitor_that_does_not_fit_on_the_disk_is_no_monitor()
    {
        _checkout.StandInForTheSdk();
        _checkout.StandIn("cp", "exit 1");
        var (exitCode, said) = await _checkout.InstallAsync();
        Assert.NotEqual(0, exitCode);
        Assert.Contains($"webvm: the monitor could not be put into {_checkout.Installed}", said);
        Assert.All(Folders(), folder => Assert.EndsWith(".new", folder, StringComparison.Ordinal));
    }

    /// <summary>The real SDK, with no source to get its compilers from.</summary>
    [Fact]
    public async Task The_SDK_alone_makes_a_monitor()
    {
        WriteProject(
            """<configuration><config><add key="globalPackagesFolder" value="none" /></config><packageSources><clear /></packageSources></configuration>""");
        var (exitCode, said) = await _checkout.InstallAsync();
        Assert.True(exitCode == 0, string.Join('\n', said));
        using var process = Process.Start(new ProcessStartInfo(said[^1]) { RedirectStandardOutput = true })!;
        Assert.Equal("installed", await process.StandardOutput.ReadLineAsync(Rest.Cancellation));
        await process.WaitForExitAsync(Rest.Cancellation);
    }

    [Fact(Explicit = true)]
    public async Task Publishing_again_disturbs_nothing_that_runs()
    {
        _checkout.StandInForTheSdk();
        Array.ForEach(["node", "npm"], program => _checkout.StandIn(program, ""));
        Directory.CreateDirectory(Path.Combine(_checkout.Root, "wwwroot"));
        await File.WriteAllTextAsync(Path.Combine(_checkout.Root, "wwwroot", "page"), "", Rest.Cancellation);
        string folder = Path.Combine(_checkout.Root, "published");
        Assert.Equal(0, (await _checkout.WebVmAsync("publish", folder)).ExitCode);
        string program = Path.Combine(folder, "webvm-vmm");
        using var machine = new Running(program);
        string before = machine.Program;
        Assert.StartsWith(Path.Combine(folder, "monitors") + "/", before, StringComparison.Ordinal);
        using var open = new StreamReader(before + ".dbg");

        _checkout.Change("second");
        Assert.Equal(0, (await _checkout.WebVmAsync("publish", folder)).ExitCode);
        Assert.Equal(before, machine.Program);
        Assert.True(File.Exists(before));
        Assert.Equal("first", await open.ReadToEndAsync(Rest.Cancellation));
        Assert.Equal("second", Symbols(File.ResolveLinkTarget(program, returnFinalTarget: true)!.FullName));
        Assert.Equal(
            ["monitors", "webvm-vmm", "webvm-vmm.dll", "webvm-vmm.runtimeconfig.json", "wwwroot"],
            Directory.GetFileSystemEntries(folder).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    private async Task<string> InstallAsync()
    {
        var (exitCode, said) = await _checkout.InstallAsync();
        Assert.True(exitCode == 0, string.Join('\n', said));
        return said[^1];
    }

    private string[] Folders() => Directory.Exists(_checkout.Installed) ? Directory.GetDirectories(_checkout.Installed) : [];

    private IEnumerable<string> Monitors() => Folders().Select(folder => Path.Combine(folder, "webvm-vmm")).Order();

    private static string Symbols(string monitor) => File.ReadAllText(monitor + ".dbg");

    private void WriteProject(string packageSources)
    {
        string folder = Path.Combine(_checkout.Root, "src/Vmm");
        File.WriteAllText(Path.Combine(folder, "Vmm.csproj"), """
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <AssemblyName>webvm-vmm</AssemblyName>
              </PropertyGroup>
            </Project>
            """);
        File.WriteAllText(Path.Combine(folder, "Program.cs"), """System.Console.WriteLine("installed");""");
        File.WriteAllText(Path.Combine(_checkout.Root, "NuGet.Config"), packageSources);
    }

    /// <summary>A process of that program, until disposed: a machine, or with a monitor named a service that would start it.</summary>
    private sealed class Running : IDisposable
    {
        private readonly Process _process;

        public Running(string program, string? monitor = null)
        {
            var start = new ProcessStartInfo(program, ["600"]);
            if (monitor is not null)
            {
                start.Environment["WEBVM_MONITOR"] = monitor;
            }

            _process = Process.Start(start)!;
        }

        public string Program => new FileInfo($"/proc/{_process.Id}/exe").LinkTarget!;

        public void Dispose()
        {
            _process.Kill();
            _process.WaitForExit();
            _process.Dispose();
        }
    }
}
