using System.CommandLine;
using System.CommandLine.Invocation;
using System.Reflection;

namespace WebVm.Vmm.Commands;

/// <summary>The verbs of webvm-vmm.</summary>
internal static class CommandLine
{
    public static int Run(string[] arguments)
    {
        var root = new RootCommand(
            "WebVm's virtual machine monitor.") { RunVerb.Create(), ServeVerb.Create(), CtlVerb.Create(), ProbeVerb.Create() };
        var version = root.Options.OfType<VersionOption>().Single();
        version.Action = new PrintVersion();
        var parsed = root.Parse(arguments);
        if (parsed.Errors.Count > 0)
        {
            return ExitCode.Fail(ExitCode.BadInput, [.. Sentences(parsed)]);
        }

        return ExitCode.Guard(() => parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false }));
    }

    /// <summary>
    /// What is wrong, and where it is told how it is right. What is unknown comes before what is missing for that reason alone.
    /// </summary>
    private static IEnumerable<string> Sentences(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        string name = string.Join(' ', NamesFrom(parsed.CommandResult));
        if (parsed.UnmatchedTokens.Count > 0)
        {
            yield return $"'{parsed.UnmatchedTokens[0]}' is not known here";
        }
        else if (command.Subcommands.Count > 0 && command.Arguments.Count > 0)
        {
            // ctl: who gives no socket gives no request either.
            yield return parsed.CommandResult.Children.OfType<System.CommandLine.Parsing.ArgumentResult>()
                .Any(argument => argument.Tokens.Count > 0)
                ? $"{command.Name} what? There are {Words(command)}" : $"{command.Name} takes the control socket of a running machine, and then what to do: {Words(command)}";
        }
        else if (command.Subcommands.Count > 0)
        {
            yield return $"a verb is missing; there are {Words(command)}";
        }
        else
        {
            foreach (var error in parsed.Errors)
            {
                yield return error.Message;
            }
        }

        yield return $"'{name} --help' tells more";
    }

    private static string Words(Command command) => string.Join(", ", command.Subcommands.Select(verb => verb.Name));

    private static IEnumerable<string> NamesFrom(System.CommandLine.Parsing.CommandResult result) =>
        result.Parent is System.CommandLine.Parsing.CommandResult parent ? [.. NamesFrom(parent), result.Command.Name] : ["webvm-vmm"];

    /// <summary>
    /// The program's name with its version, as other programs print it; and the commit that it was built from, for those who report a
    /// fault.
    /// </summary>
    private sealed class PrintVersion : SynchronousCommandLineAction
    {
        public override int Invoke(ParseResult parseResult)
        {
            string[] parts =
                (typeof(CommandLine).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion
                    ?? "").Split(
                    '+');
            System.Console.WriteLine($"webvm-vmm {parts[0]}{(parts.Length > 1 ? $" ({parts[1][..Math.Min(12, parts[1].Length)]})" : "")}");
            return ExitCode.Success;
        }
    }
}
