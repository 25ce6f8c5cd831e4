using System.Reflection;
using System.Runtime.InteropServices;
using Tmds.Linux;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;
using WebVm.Vmm.Tests.Architecture;
using Xunit;

namespace WebVm.Vmm.Tests.Host;

/// <summary>Every struct, offset and constant shared with the kernel is what the C headers say.</summary>
public sealed class AbiTests
{
    private static readonly Type[] s_types = [.. typeof(KvmRequests).Assembly.GetTypes()
        .Where(type => type.Namespace == typeof(KvmRequests).Namespace)];

    private static readonly string[] s_packageHeaders =
        ["errno.h", "fcntl.h", "poll.h", "sched.h", "signal.h", "sys/eventfd.h", "sys/ioctl.h", "sys/mman.h", "sys/socket.h", "sys/stat.h",
            "sys/uio.h", "sys/un.h", "termios.h", "time.h"];

    /// <summary>Those that are called otherwise in C.</summary>
    private static readonly Dictionary<Type, string> s_packageNames = new()
    {
        [typeof(ulong_t)] = "unsigned long",
        [typeof(long_t)] = "long",
        [typeof(syscall_arg)] = "long",
    };

    [Fact]
    public void Every_struct_has_the_layout_of_its_c_type()
    {
        var program = new CHeaderProbe();
        foreach (var type in s_types.Where(type => type.GetCustomAttribute<NativeTypeAttribute>() is not null))
        {
            var attribute = type.GetCustomAttribute<NativeTypeAttribute>()!;
            string cType = attribute.Name ?? $"struct {type.Name}";
            program.Include(attribute.Headers);
            program.Expect($"sizeof({cType})", Marshal.SizeOf(type));
            ExpectFields(program, cType, type, "", 0);
        }

        Assert.Empty(program.Differences());
    }

    [Fact]
    public void Every_constant_has_the_value_of_its_c_constant()
    {
        // One C program a class, as headers of glibc and of Linux that define the same things do not go together.
        List<string> differences = [];
        foreach (var type in s_types.Where(type => type.GetCustomAttribute<NativeConstantsAttribute>() is not null))
        {
            var program = new CHeaderProbe();
            program.Include(type.GetCustomAttribute<NativeConstantsAttribute>()!.Headers);
            foreach (var constant in type.GetFields(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic)
                .Where(field => field.IsLiteral))
            {
                program.Expect(
                    constant.Name, Convert.ToInt64(
                        constant.GetRawConstantValue() is ulong wide ? unchecked((long)wide) : constant.GetRawConstantValue()));
            }

            differences.AddRange(program.Differences());
        }

        Assert.Empty(differences);
    }

    [Fact]
    public void Nothing_shared_with_the_kernel_is_left_unchecked()
    {
        var unchecked_ = s_types
            .Where(type => type is { IsValueType: true, IsEnum: false } && !type.Name.Contains('<', StringComparison.Ordinal))
            .Where(type => type.GetCustomAttribute<NativeTypeAttribute>() is null
                && type.GetCustomAttribute<NativeAnonymousAttribute>() is null);
        Assert.Empty(unchecked_);

        var constants = s_types
            .Where(type => type.GetCustomAttribute<NativeConstantsAttribute>() is null)
            .SelectMany(type => type.GetFields(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic))
            .Where(field => field.IsLiteral && !field.DeclaringType!.IsEnum);
        Assert.Empty(constants);
    }

    [Fact]
    public void What_is_used_of_the_package_is_what_the_headers_say()
    {
        var program = new CHeaderProbe();
        program.Include(s_packageHeaders);
        var users = typeof(KvmCalls).Assembly.GetTypes();
        foreach (var constant in users.SelectMany(TypeUses.CallsOf).OfType<MethodInfo>()
            .Where(call => call.DeclaringType == typeof(LibC) && call.IsSpecialName).Distinct())
        {
            program.Expect(constant.Name["get_".Length..], PackageConstant(constant));
        }

        foreach (var type in users.SelectMany(MadeOrGiven)
            .Where(type => type.Namespace == typeof(LibC).Namespace && type.IsValueType && !type.IsNested).Distinct())
        {
            string cType = s_packageNames.GetValueOrDefault(type)
                ?? (type.Name.EndsWith("_t", StringComparison.Ordinal) ? type.Name : $"struct {type.Name}");
            program.Expect($"sizeof({cType})", Marshal.SizeOf(type));
            foreach (var (field, name) in PackageFields(type))
            {
                program.Expect($"offsetof({cType}, {name})", (int)Marshal.OffsetOf(type, field.Name));
                program.Expect($"sizeof((({cType} *)0)->{name})", SizeOf(field.FieldType));
            }
        }

        Assert.Empty(program.Differences());
        Assert.Contains(PackageFields(typeof(msghdr)), field => field.Name == "msg_controllen");
        Assert.Equal(0xf000, PackageConstant(typeof(LibC).GetProperty(nameof(LibC.S_IFMT))!.GetMethod!));
    }

    [Fact]
    public void The_error_of_a_failed_call_of_the_package_is_kept()
    {
        Assert.Equal(-1, LibC.fsync(-1));
        Assert.Equal(LibC.EBADF, Marshal.GetLastPInvokeError());
        Assert.Equal(LibC.EBADF, LinuxException.Last("fsync").Errno);
    }

    [Fact]
    public void A_wrong_offset_is_noticed()
    {
        var program = new CHeaderProbe();
        program.Include("linux/kvm.h");
        program.Expect("offsetof(struct kvm_regs, rip)", 120);
        program.Expect("KVM_RUN", 0xae80);
        Assert.Equal("offsetof(struct kvm_regs, rip): 120 in C#, 128 in C", Assert.Single(program.Differences()));
    }

    private static void ExpectFields(CHeaderProbe program, string cType, Type type, string prefix, int start)
    {
        foreach (var field in type.GetFields(BindingFlags.Instance | BindingFlags.Public))
        {
            string path = prefix + (field.GetCustomAttribute<NativeFieldAttribute>()?.Name ?? field.Name);
            int offset = start + (int)Marshal.OffsetOf(type, field.Name);
            program.Expect($"offsetof({cType}, {path})", offset);
            if (field.FieldType.GetCustomAttribute<NativeAnonymousAttribute>() is not null)
            {
                ExpectFields(program, cType, field.FieldType, path + ".", offset);
            }
            else
            {
                program.Expect($"sizeof((({cType} *)0)->{path})", SizeOf(field.FieldType));
            }
        }
    }

    /// <summary>
    /// Types of values that a type makes, or gives a function of the package. Not what is null each time: the package's siginfo_t is not as
    /// C's (si_errno and si_code stand the other way round).
    /// </summary>
    private static IEnumerable<Type> MadeOrGiven(Type user)
    {
        const BindingFlags all = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance
            | BindingFlags.DeclaredOnly;
        var made =
            user.GetFields(all).Select(field => field.FieldType)
                .Concat(user.GetMethods(all).Cast<MethodBase>().Concat(user.GetConstructors(all))
            .SelectMany(method => method.GetMethodBody()?.LocalVariables ?? []).Select(local => local.LocalType))
            .Select(type => type.HasElementType ? type.GetElementType()! : type);
        var given = TypeUses.CallsOf(user).OfType<MethodInfo>().Where(call => call.DeclaringType == typeof(LibC))
            .SelectMany(call => call.GetParameters().Select(parameter => parameter.ParameterType).Append(call.ReturnType));
        return made.Concat(given);
    }

    /// <summary>
    /// Fields of a struct of the package, by their names in C: it has properties over most. What is private without one is padding.
    /// </summary>
    private static IEnumerable<(FieldInfo Field, string Name)> PackageFields(Type type)
    {
        foreach (var field in type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic))
        {
            string name = field.Name.Split('<', '>') is ["", var property, ..] ? property : field.Name.TrimStart('_');
            if (field.IsPublic || type.GetProperty(name) is not null)
            {
                if (name != "Value" && name != "value")
                {
                    yield return (field, name);
                }
            }
        }
    }

    private static unsafe long PackageConstant(MethodInfo getter) => getter.Invoke(null, []) switch
    {
        Pointer pointer => (nint)Pointer.Unbox(pointer),
        IConvertible number => number.ToInt64(null),
        mode_t mode => (ushort)mode,
        sa_family_t family => family,
        var other => throw new NotSupportedException($"{getter.Name} is a {other?.GetType()}."),
    };

    private static int SizeOf(Type type) => type.IsPointer ? nint.Size : Marshal.SizeOf(type);
}
