using System.Reflection;
using System.Reflection.Emit;

namespace WebVm.Kit;

/// <summary>Finds every type that a type's declarations and compiled method bodies (ECMA-335 §II.25.4) mention.</summary>
internal static class TypeUses
{
    private const BindingFlags All = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance
        | BindingFlags.DeclaredOnly;

    private static readonly Dictionary<int, OpCode> s_opcodes = typeof(OpCodes).GetFields(BindingFlags.Public | BindingFlags.Static)
        .Select(field => (OpCode)field.GetValue(null)!).ToDictionary(opcode => opcode.Value & 0xffff);

    public static HashSet<Type> Of(Type type)
    {
        var found = new HashSet<Type>();
        Add(found, type.BaseType);
        foreach (var contract in type.GetInterfaces())
        {
            Add(found, contract);
        }

        foreach (var field in type.GetFields(All))
        {
            Add(found, field.FieldType);
        }

        foreach (MethodBase method in type.GetMethods(All).Cast<MethodBase>().Concat(type.GetConstructors(All)))
        {
            AddSignature(found, method);
            if (method.GetMethodBody() is { } body)
            {
                foreach (var local in body.LocalVariables)
                {
                    Add(found, local.LocalType);
                }

                AddInstructions(found, method, body.GetILAsByteArray() ?? []);
            }
        }

        return found;
    }

    /// <summary>
    /// Every method and constructor that a type's compiled bodies call or take the address of, local functions' and lambdas' included where
    /// they are the type's own.
    /// </summary>
    public static IEnumerable<MethodBase> CallsOf(Type type) => type.GetMethods(All).Cast<MethodBase>().Concat(type.GetConstructors(All))
        .SelectMany(method => method.GetMethodBody() is { } body ? Members(method, body.GetILAsByteArray() ?? []) : [])
        .OfType<MethodBase>();

    private static void AddSignature(HashSet<Type> found, MethodBase method)
    {
        foreach (var parameter in method.GetParameters())
        {
            Add(found, parameter.ParameterType);
        }

        if (method is MethodInfo { ReturnType: { } result })
        {
            Add(found, result);
        }
    }

    private static void AddInstructions(HashSet<Type> found, MethodBase method, byte[] il)
    {
        foreach (var member in Members(method, il))
        {
            Add(found, member as Type ?? member.DeclaringType);
            if (member is MethodBase called)
            {
                AddSignature(found, called);
                foreach (var argument in called.IsGenericMethod ? called.GetGenericArguments() : [])
                {
                    Add(found, argument);
                }
            }
            else if (member is FieldInfo field)
            {
                Add(found, field.FieldType);
            }
        }
    }

    private static IEnumerable<MemberInfo> Members(MethodBase method, byte[] il)
    {
        var typeArguments = method.DeclaringType!.IsGenericType ? method.DeclaringType.GetGenericArguments() : null;
        var methodArguments = method.IsGenericMethod ? method.GetGenericArguments() : null;
        for (int at = 0; at < il.Length;)
        {
            int value = il[at++];
            if (value == 0xfe)
            {
                value = 0xfe00 | il[at++];
            }

            var opcode = s_opcodes[value];
            if (opcode.OperandType is OperandType.InlineType or OperandType.InlineMethod or OperandType.InlineField or OperandType.InlineTok
                && method.Module.ResolveMember(BitConverter.ToInt32(il, at), typeArguments, methodArguments) is { } member)
            {
                yield return member;
            }

            at += OperandSize(opcode.OperandType, il, at);
        }
    }

    private static int OperandSize(OperandType operand, byte[] il, int at) => operand switch
    {
        OperandType.InlineNone => 0,
        OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
        OperandType.InlineVar => 2,
        OperandType.InlineI8 or OperandType.InlineR => 8,
        OperandType.InlineSwitch => 4 + (4 * BitConverter.ToInt32(il, at)),
        _ => 4,
    };

    private static void Add(HashSet<Type> found, Type? type)
    {
        while (type is { HasElementType: true })
        {
            type = type.GetElementType();
        }

        if (type is null || type.IsGenericParameter)
        {
            return;
        }

        if (type.IsFunctionPointer)
        {
            Add(found, type.GetFunctionPointerReturnType());
            foreach (var parameter in type.GetFunctionPointerParameterTypes())
            {
                Add(found, parameter);
            }

            return;
        }

        found.Add(type.IsGenericType ? type.GetGenericTypeDefinition() : type);
        if (type.IsGenericType)
        {
            foreach (var argument in type.GetGenericArguments().Where(argument => argument != type && !argument.IsGenericParameter))
            {
                Add(found, argument);
            }
        }
    }
}
