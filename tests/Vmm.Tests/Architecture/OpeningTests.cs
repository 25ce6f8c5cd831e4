using System.Reflection;
using System.Runtime.InteropServices;
using Tmds.Linux;
using WebVm.Vmm.Commands;
using WebVm.Vmm.Confinement;
using WebVm.Vmm.Confinement.Keeping;
using WebVm.Vmm.Control;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;
using WebVm.Vmm.State;
using WebVm.Vmm.Memory;
using Xunit;

namespace WebVm.Vmm.Tests.Architecture;

/// <summary>
/// A monitor that is locked in opens nothing by its name: whoever has a name goes through one door (HandedFiles), or is told here why not.
/// </summary>
public sealed class OpeningTests
{
    private static readonly Type[] s_types = typeof(GuestMemory).Assembly.GetTypes();

    /// <summary>Those who open names, and why they may.</summary>
    private static readonly Dictionary<Type, string> s_openers = new()
    {
        [typeof(HandedFiles)] = "is the door",
        [typeof(UntrustedFile)] = "opens for the door, and for the service",
        [typeof(SparseFile)] = "opens for the door, and for who saves",
        [typeof(UnixSocket)] = "listens for the door, and connects for clients",
        [typeof(DurableFiles)] = "works for who saves",
        [typeof(SavedStateFolder)] = "belongs to who asks for a state, not to the machine's process",
        [typeof(ControlClient)] = "is the other side of the control socket",
        [typeof(ControlServer)] = "looks whether a socket's name is in use, where it was handed none",
        [typeof(CtlVerb)] = "is a client, and writes the picture that a person asked for",
        [typeof(HostResources)] = "is asked by probe and by the service; a monitor that is locked in does not",
        [typeof(SandboxFeatures)] = "is asked by probe and by the service; a monitor that is locked in does not",
        [typeof(Keeper)] = "is outside of the walls, and opens the program",
        [typeof(HandedDescriptors)] = "is outside of the walls, and opens what is handed",
        [typeof(ProgramImage)] = "is outside of the walls, and reads the program's symbols when a monitor has faulted",
        [typeof(RunFolder)] = "is outside of the walls, and keeps the run's folder",
        [typeof(ConfinedProcess)] = "is outside of the walls, and maps the user of a namespace",
        [typeof(CheckedFile)] = "is the service's",
        [typeof(FileIdentity)] = "is the service's",
        [typeof(PrivateFolder)] = "is the service's",
        [typeof(HostMemory)] = "is asked by the service",
        [typeof(OwnProcess)] = "is the service's",
        [typeof(ProcessHandle)] = "is the service's and the keeper's",
        [typeof(ThreadRunDelay)] = "opens /proc where there is one, and does without where not",
    };

    /// <summary>System calls by which a name or an address is reached.</summary>
    private static readonly string[] s_calls = ["open", "openat", "openat2", "creat", "socket", "connect", "bind", "unlink", "rename",
        "renameat2", "linkat", "chmod", "lstat", "stat", "mkdir", "execve", "fork"];

    /// <summary>Functions of the package that reach one without being given it as text.</summary>
    private static readonly string[] s_packageCalls = [.. s_calls, "socketpair", "sendto", "vfork", "clone", "fexecve", "mount"];

    /// <summary>What the package calls a name among its parameters.</summary>
    private static readonly string[] s_names = ["path", "pathname", "filename", "oldpath", "newpath", "linkpath", "target"];

    private static readonly Type[] s_nativeOpeners = [typeof(FileCalls), typeof(OwnProcessCalls)];

    [Fact]
    public void What_has_a_name_is_opened_by_the_one_who_may()
    {
        var violations =
            s_types.SelectMany(
                type => Openings(type).Select(call => (Opener: Outermost(type), Call: $"{call.DeclaringType!.Name}.{call.Name}")))
            .Where(use => !s_openers.ContainsKey(use.Opener) && !s_nativeOpeners.Contains(use.Opener))
            .Select(use => $"{use.Opener.FullName} calls {use.Call}").Distinct().Order().ToList();
        Assert.True(violations.Count == 0, string.Join(Environment.NewLine, violations));
    }

    [Fact]
    public void Nobody_is_excused_who_opens_nothing() => Assert.Empty(
        s_openers.Keys.Where(opener => !s_types.Where(type => Outermost(type) == opener).SelectMany(Openings).Any())
            .Select(opener => opener.Name));

    [Fact]
    public void Calls_that_reach_names_are_declared_in_few_places() => Assert.Empty(s_types
        .Where(type => !s_nativeOpeners.Contains(Outermost(type)))
        .SelectMany(type => type.GetMethods(BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.DeclaredOnly))
        .Where(method => method.GetCustomAttribute<DllImportAttribute>() is { } import
            && s_calls.Contains(import.EntryPoint ?? method.Name))
        .Select(method => $"{method.DeclaringType!.FullName}.{method.Name}"));

    [Fact]
    public void An_opening_in_a_lambda_is_seen()
    {
        var seen = typeof(OpeningTests).GetNestedTypes(BindingFlags.NonPublic).Append(typeof(Opener))
            .Where(type => Outermost(type) == typeof(OpeningTests));
        Assert.Contains(seen.SelectMany(AllNested).SelectMany(Openings), call => call.Name == nameof(File.ReadAllText));
    }

    [Fact]
    public void An_opening_by_the_package_is_seen()
    {
        var seen = Openings(typeof(PackageOpener)).Select(call => call.Name).ToHashSet();
        Assert.Equal(["connect", "open", "truncate"], seen.Order());
        foreach (string call in s_calls.Where(call => typeof(LibC).GetMethods().Any(method => method.Name == call)))
        {
            Assert.All(typeof(LibC).GetMethods().Where(method => method.Name == call), method => Assert.True(IsOpening(method)));
        }
    }

    [Fact]
    public void Calls_by_number_which_may_be_any_are_made_by_few()
    {
        Type[] callers =
        [
            typeof(FileCalls), typeof(FutexCalls), typeof(OwnProcess), typeof(ProcessHandle), typeof(SandboxFeatures), typeof(InnerWall),
            typeof(LandlockRuleset), typeof(ExecGate),
            typeof(ConfinedProcess), typeof(ConfinedChild), typeof(Keeper), typeof(FaultReporter),
        ];
        Assert.Equal(
            callers.Select(type => type.Name).Order(),
            s_types.Where(type => TypeUses.CallsOf(type).Any(IsByNumber)).Select(type => Outermost(type).Name)
            .Where(name => name != nameof(RawCalls)).Distinct().Order());
    }

    private static bool IsByNumber(MethodBase called) =>
        called.DeclaringType == typeof(RawCalls) || (called.DeclaringType == typeof(LibC) && called.Name == nameof(LibC.syscall));

    private static IEnumerable<MethodBase> Openings(Type type) => TypeUses.CallsOf(type).Where(IsOpening);

    private static bool IsOpening(MethodBase called)
    {
        var owner = called.DeclaringType;
        if (owner == typeof(File) || owner == typeof(Directory) || owner == typeof(FileInfo) || owner == typeof(DirectoryInfo))
        {
            return true;
        }

        if (owner == typeof(FileStream) || owner == typeof(StreamReader) || owner == typeof(StreamWriter))
        {
            return called.IsConstructor && called.GetParameters() is [{ ParameterType: var first }, ..] && first == typeof(string);
        }

        return owner?.Namespace == "System.Net.Sockets" || owner == typeof(System.Diagnostics.Process)
            || (owner == typeof(LibC) && (s_packageCalls.Contains(called.Name) || called.GetParameters().Any(IsName)))
            || (owner == typeof(FileCalls) && called.GetParameters().Any(parameter => parameter.ParameterType == typeof(string)))
            || owner == typeof(OwnProcessCalls)
            || (owner == typeof(UntrustedFile) && called.GetParameters() is [{ ParameterType: var path }, ..] && path == typeof(string))
            || (owner == typeof(SparseFile) && called.Name is nameof(SparseFile.Open) or nameof(SparseFile.CreateNew))
            || (owner == typeof(UnixSocket)
                && called.Name is nameof(UnixSocket.Listen) or nameof(UnixSocket.TryConnect) or nameof(UnixSocket.IsServed));
    }

    private static bool IsName(ParameterInfo parameter) => parameter.ParameterType == typeof(byte*) && s_names.Contains(parameter.Name);

    private static Type Outermost(Type type)
    {
        while (type.DeclaringType is { } outer)
        {
            type = outer;
        }

        return type;
    }

    private static IEnumerable<Type> AllNested(Type type) =>
        type.GetNestedTypes(BindingFlags.Public | BindingFlags.NonPublic).SelectMany(AllNested).Prepend(type);

    private static unsafe class PackageOpener
    {
        public static int Open(byte* name) => LibC.open(name, LibC.O_RDONLY, 0);

        public static int Cut(byte* name) => LibC.truncate(name, 0);

        public static int Connect(int socket, sockaddr* address) => LibC.connect(socket, address, 2);

        public static long ReadOnly(int descriptor, void* buffer) =>
            LibC.read(descriptor, buffer, 1) + LibC.lseek(descriptor, 0, LibC.SEEK_SET);
    }

    private static class Opener
    {
        public static Func<string> Later(string path) => () => File.ReadAllText(path);
    }
}
