using WebVm.Vmm.Host;

namespace WebVm.Vmm.Confinement.Keeping;

/// <summary>Finds the highest level of this host and account by starting a program at it that ends at once.</summary>
internal static class IsolationProbe
{
    /// <summary>Prints the level, its walls, and why each higher level cannot be had.</summary>
    /// <param name="user">A user id that a monitor might have; null when there are none.</param>
    public static int Run(uint? user)
    {
        for (var level = IsolationLevel.Users; level > IsolationLevel.None; level--)
        {
            try
            {
                var walls = Try(level, user);
                Console.WriteLine($"level {IsolationLevels.Name(level)}");
                Console.WriteLine($"walls {string.Join(',', walls)}");
                return 0;
            }
            catch (Exception failure) when (failure is ConfinementException or LinuxException)
            {
                Console.WriteLine($"without {IsolationLevels.Name(level)}: {failure.Message}");
            }
        }

        Console.WriteLine("level none");
        Console.WriteLine("walls ");
        return 0;
    }

    private static IReadOnlyList<string> Try(IsolationLevel level, uint? user)
    {
        if (!Keeper.CanConfine)
        {
            throw new ConfinementException("this monitor is compiled at run time");
        }

        if (level == IsolationLevel.Users && user is null)
        {
            throw new ConfinementException("there are no user ids to give to monitors");
        }

        using var program = Keeper.OpenProgram();
        using var output = new FileDescriptor(1).Duplicate();
        using var confined = ConfinedProcess.Create(new ConfinedStart
        {
            Level = level,
            // In a user namespace of an ordinary account there is one user.
            User = level == IsolationLevel.Namespaces ? null : user,
            Folder = "/tmp",
            Program = program,
            Arguments = ["webvm-vmm", Keeper.Idle],
            Environment = [],
            Descriptors = [output, output, output],
        });
        confined.Release();
        int code = confined.Wait();
        return code == 0 ? confined.Walls : throw new ConfinementException($"a program behind these walls ends with {code}");
    }
}
